# SPDX-License-Identifier: Apache-2.0
"""`sampling.Sampler` by PyTorch: the texture lies on the device once per world, bands come back once per picture.

The answers are those of `OpenCvSampler` but for rounding: samples are rounded to grey levels before they are averaged,
as there, and interpolation is exact, as in OpenCV 5 (OpenCV 4 takes places in steps of 1/32 cell).

Legend: R rows of samples, W width, C columns looked up, X Y cells of the texture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.worlds.sampling import GroundTexture, Level

_LEAST_INVERSE_DEPTH = 1e-6  # 1/m: what is above the horizon gets some finite place, and is not shown


class TorchSampler:
    """Reads on a torch device; a texture takes 12 bytes a cell there, some hundred MB for a world."""

    def __init__(self, texture: GroundTexture, device: str | torch.device) -> None:
        self.texture, self._device = texture, torch.device(device)
        self._images: dict[Level, Tensor] = {}
        for is_near, levels in ((True, texture.near), (False, texture.far)):
            for index, (_, image) in enumerate(levels):
                self._images[is_near, index] = self._moved(image).permute(2, 0, 1)[None].float()  # 1 3 Y X

    def on_plane(self, level: Level, cell_T_sample: NDArray[np.float64], size: tuple[int, int], count: int) -> Tensor:
        """As `Sampler` says; worked out in 64 bits, since 32 would move far cells by hundredths."""
        (width, rows), matrix = size, self._moved(cell_T_sample)[:, :, None, None]
        u = torch.arange(width, dtype=torch.float64, device=self._device)
        v = torch.arange(rows * count, dtype=torch.float64, device=self._device)[:, None]
        places = matrix[:, 0] * u + (matrix[:, 1] * v + matrix[:, 2])  # 3 R W
        return self._read(level, places[:2] / places[2].clamp(min=_LEAST_INVERSE_DEPTH), count)

    def on_columns(self, level: Level, cells: NDArray[np.float32], step: int, width: int, count: int) -> Tensor:
        """As `Sampler` says."""
        known = self._moved(cells).permute(2, 0, 1)[None]  # 1 2 R C
        size = (cells.shape[0], cells.shape[1] * step)
        wide = F.interpolate(known, size, mode="bilinear", align_corners=False)[0]
        return self._read(level, wide[:, :, step : step + width], count)

    def joined(self, bands: Sequence[Tensor]) -> NDArray[np.uint8]:
        """As `Sampler` says: the one copy to the host, which waits for the device."""
        picture: NDArray[np.uint8] = torch.cat(list(bands)).cpu().numpy()
        return picture

    def _read(self, level: Level, cells: Tensor, count: int) -> Tensor:
        """R / count x W x 3 grey levels at the cells (2 R W: column, row), each the mean of `count` rows."""
        image = self._images[level]
        extent = cells.new_tensor([image.shape[3], image.shape[2]])[:, None, None]
        corners = ((2 * cells + 1) / extent - 1).float().permute(1, 2, 0)[None]  # 1 R W 2, -1 to 1 between the edges
        rgb = F.grid_sample(image, corners, mode="bilinear", padding_mode="border", align_corners=False)[0]
        samples = rgb.round().unflatten(1, (-1, count))  # 3 R/count count W
        return samples.mean(2).round().to(torch.uint8).permute(1, 2, 0)

    def _moved(self, values: NDArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device)
