# SPDX-License-Identifier: Apache-2.0
"""The ground texture seen through a pinhole: exact homographies, filtered for grazing angles.

A pixel far away covers centimetres across and metres along the line of sight. Rows of the picture are therefore taken
in bands: each band reads the texture level whose cell fits the width of a pixel, several times per row, and averages.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import inverse
from mapkd_core.grid import BevGrid

MAX_SAMPLES = 16
NEAR_DEPTH_M = 45.0
HORIZON_DEPTH_M = 400.0
_COUNTS = np.array([1, 2, 3, 4, 6, 8, 12, 16])


@dataclass(frozen=True)
class GroundTexture:
    """Mip levels, finest first: grid (map frame) and RGB image of each, around the drive and far beyond it."""

    near: tuple[tuple[BevGrid, NDArray[np.uint8]], ...]
    far: tuple[tuple[BevGrid, NDArray[np.uint8]], ...]


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


def draw_ground(
    image: NDArray[np.uint8], texture: GroundTexture, K: NDArray[np.float64], map_T_camera: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Draw the ground plane z = 0 into `image` (H W 3, changed in place) below the horizon.

    Returns the inverse depth (1/m) of the ground at each row's left and right end, H x 2; not positive above the
    horizon.
    """
    height, width = image.shape[:2]
    a, b, c = inverse_depth(K, map_T_camera)
    ends = np.array([0.0, width - 1.0])
    rows = np.arange(height)[:, None]
    inv = a * ends + b * rows + c
    middle = 1.0 / np.maximum(inv.mean(axis=1), 1e-9)
    levels, is_near, counts = plan(middle / K[0, 0], middle**2 / (K[1, 1] * map_T_camera[2, 3]), middle, texture)
    first = int(np.argmax(inv.max(axis=1) > 1 / HORIZON_DEPTH_M)) if (inv > 1 / HORIZON_DEPTH_M).any() else height
    pixel_T_map = K @ inverse(map_T_camera)[:3][:, [0, 1, 3]]
    map_T_pixel = np.linalg.inv(pixel_T_map)
    for top, end in bands(first, (levels, is_near, counts)):
        grid, source = (texture.near if is_near[top] else texture.far)[levels[top]]
        band = _band(source, grid, map_T_pixel, width, top, end, int(counts[top]))
        below = inv[top:end].min(axis=1) > 1 / HORIZON_DEPTH_M
        if below.all():
            image[top:end] = band
        else:
            columns = a * np.arange(width) + b * np.arange(top, end)[:, None] + c
            np.copyto(image[top:end], band, where=(columns > 1 / HORIZON_DEPTH_M)[..., None])
    return inv.astype(np.float32)


def inverse_depth(K: NDArray[np.float64], map_T_camera: NDArray[np.float64]) -> tuple[float, float, float]:
    """a, b, c such that 1 / depth of the ground at pixel (u, v) is a u + b v + c."""
    down = -map_T_camera[2, :3] @ np.linalg.inv(K) / map_T_camera[2, 3]
    return float(down[0]), float(down[1]), float(down[2])


def bands(first: int, plans: Sequence[NDArray]) -> Iterator[tuple[int, int]]:
    """First row, and the one after the last, of every run of rows from `first` on where all `plans` (H each) agree."""
    height = len(plans[0])
    if first >= height:
        return iter(())
    changes = np.any([values[first + 1 :] != values[first:-1] for values in plans], axis=0)
    edges = [first, *(first + 1 + np.flatnonzero(changes)).tolist(), height]
    return itertools.pairwise(edges)


def plan(
    across: NDArray[np.float64], along: NDArray[np.float64], depth: NDArray[np.float64], texture: GroundTexture
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """Texture level, near or far texture, and samples per row, from the metres of ground that a pixel covers."""
    is_near = depth < NEAR_DEPTH_M
    finest = np.where(is_near, texture.near[0][0].cell, texture.far[0][0].cell)
    count_levels = np.where(is_near, len(texture.near), len(texture.far))
    wanted = np.maximum(across, along / (2.0 * MAX_SAMPLES))
    levels = np.clip(np.floor(np.log2(np.maximum(wanted / finest, 1e-6)) + 0.35), 0, count_levels - 1).astype(int)
    samples = along / (2.0 * finest * 2.0**levels)
    counts = _COUNTS[np.minimum(np.searchsorted(_COUNTS, samples), len(_COUNTS) - 1)]
    return levels, is_near, counts


def _band(
    source: NDArray[np.uint8], grid: BevGrid, map_T_pixel: NDArray, width: int, top: int, end: int, count: int
) -> NDArray[np.uint8]:
    """Rows top..end of the picture, each the mean of `count` rows of samples."""
    pixel_T_sample = np.array([[1, 0, 0], [0, 1 / count, top - 0.5 + 0.5 / count], [0, 0, 1]])
    x, y = grid.to_cells((0.0, 0.0))
    cell_T_map = np.array([[1 / grid.cell, 0, x], [0, 1 / grid.cell, y], [0, 0, 1]])
    matrix = cell_T_map @ map_T_pixel @ pixel_T_sample
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (width, (end - top) * count)
    samples = cv2.warpPerspective(source, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return samples if count == 1 else cv2.resize(samples, (width, end - top), interpolation=cv2.INTER_AREA)
