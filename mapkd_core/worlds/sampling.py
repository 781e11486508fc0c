# SPDX-License-Identifier: Apache-2.0
"""How bands of a picture are read off the ground texture: by OpenCV on a CPU core, or by PyTorch on a device.

A band is some rows of a picture that read one texture level, `count` times a row. `ground_view` and `relief_view` say
where a band lies on the texture, a sampler looks it up and averages: the same drawing code serves both devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid

DEVICES = ("auto", "cpu", "cuda")
Level = tuple[bool, int]  # whether of the near texture, and which of its levels


@dataclass(frozen=True)
class GroundTexture:
    """Mip levels, finest first: grid (map frame) and RGB image of each, around the drive and far beyond it."""

    near: tuple[tuple[BevGrid, NDArray[np.uint8]], ...]
    far: tuple[tuple[BevGrid, NDArray[np.uint8]], ...]

    def at(self, level: Level) -> tuple[BevGrid, NDArray[np.uint8]]:
        """Grid and image of a level."""
        is_near, index = level
        return (self.near if is_near else self.far)[index]


def pyramid(grid: BevGrid, image: NDArray[np.uint8], levels: int) -> tuple[tuple[BevGrid, NDArray[np.uint8]], ...]:
    """The image and its averages over 2x2, 4x4 ... cells."""
    out = [(grid, image)]
    for _ in range(levels - 1):
        grid, image = out[-1]
        rows, columns = grid.shape
        if rows % 2 or columns % 2:
            raise ValueError(f"grid of {columns} x {rows} cells cannot be halved {levels - 1} times")
        out.append((grid.coarser(2), cv2.resize(image, (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)))
    return tuple(out)


class Sampler(Protocol):
    """Reads bands off a texture. Bands stay where they are made until `joined` brings a picture's to the host."""

    texture: GroundTexture

    def on_plane(self, level: Level, cell_T_sample: NDArray[np.float64], size: tuple[int, int], count: int) -> Any:
        """A band of `size` (width, rows): sample (u, v) lies at the cell cell_T_sample (3x3) @ (u, v, 1) says.

        Samples are `count` times as many rows as the band has.
        """

    def on_columns(self, level: Level, cells: NDArray[np.float32], step: int, width: int, count: int) -> Any:
        """A band of rows R / count and `width` pixels, from the cells (column, row) R x C x 2 of every `step`-th pixel.

        The first and the last column lie outside the picture, as `widened` takes them.
        """

    def joined(self, bands: Sequence[Any]) -> NDArray[np.uint8]:
        """The bands below each other, rows x width x 3 RGB."""


class OpenCvSampler:
    """Reads on the CPU core that asks."""

    def __init__(self, texture: GroundTexture) -> None:
        self.texture = texture

    def on_plane(
        self, level: Level, cell_T_sample: NDArray[np.float64], size: tuple[int, int], count: int
    ) -> NDArray[np.uint8]:
        """As `Sampler` says."""
        (width, rows), (_, source) = size, self.texture.at(level)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        samples = cv2.warpPerspective(
            source, cell_T_sample, (width, rows * count), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        return _averaged(samples, count)

    def on_columns(
        self, level: Level, cells: NDArray[np.float32], step: int, width: int, count: int
    ) -> NDArray[np.uint8]:
        """As `Sampler` says."""
        _, source = self.texture.at(level)
        samples = cv2.remap(source, widened(cells, step), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return _averaged(samples, count)[:, :width]

    def joined(self, bands: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """As `Sampler` says."""
        return np.concatenate(bands)


def sampler_on(device: str, texture: GroundTexture) -> Sampler:
    """The sampler of a device as `chosen_device` takes it; PyTorch is loaded for a GPU only."""
    device = chosen_device(device)
    if device == "cpu":
        return OpenCvSampler(texture)
    from mapkd_core.worlds.torch_sampling import TorchSampler

    return TorchSampler(texture, device)


def chosen_device(device: str) -> str:
    """cpu or cuda; auto is cuda where PyTorch sees a CUDA device. Raises ValueError for one that is not there."""
    if device not in DEVICES:
        raise ValueError(f"unknown device {device!r} to render on; known: {', '.join(DEVICES)}")
    if device == "cpu":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise ValueError("device 'cuda' to render on: PyTorch sees no CUDA device here; use cpu or auto")
    return "cpu"


def widened(values: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """R x C ..., one column every `step` pixels, to R x (C - 2) step ... for every pixel between the outer columns."""
    wide = cv2.resize(values, (values.shape[1] * step, len(values)), interpolation=cv2.INTER_LINEAR)
    return wide[:, step:-step]


def _averaged(samples: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """The mean of every `count` rows."""
    if count == 1:
        return samples
    return cv2.resize(samples, (samples.shape[1], len(samples) // count), interpolation=cv2.INTER_AREA)
