# SPDX-License-Identifier: Apache-2.0
"""The ground texture seen through a pinhole: exact homographies, filtered for grazing angles.

A pixel far away covers centimetres across and metres along the line of sight. Rows of the picture are therefore taken
in bands: each band reads the texture level whose cell fits the width of a pixel, several times per row, and averages.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import inverse
from mapkd_core.grid import BevGrid
from mapkd_core.worlds.sampling import GroundTexture, Sampler

MAX_SAMPLES = 16
NEAR_DEPTH_M = 45.0
HORIZON_DEPTH_M = 400.0
_COUNTS = np.array([1, 2, 3, 4, 6, 8, 12, 16])


def draw_ground(
    image: NDArray[np.uint8], sampler: Sampler, K: NDArray[np.float64], map_T_camera: NDArray[np.float64]
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
    along = middle**2 / (K[1, 1] * map_T_camera[2, 3])
    levels, is_near, counts = plan(middle / K[0, 0], along, middle, sampler.texture)
    if not (inv > 1 / HORIZON_DEPTH_M).any():
        return inv.astype(np.float32)
    first = int(np.argmax(inv.max(axis=1) > 1 / HORIZON_DEPTH_M))
    pixel_T_map = K @ inverse(map_T_camera)[:3][:, [0, 1, 3]]
    map_T_pixel = np.linalg.inv(pixel_T_map)
    drawn = []
    for top, end in bands(first, (levels, is_near, counts)):
        level, count = (bool(is_near[top]), int(levels[top])), int(counts[top])
        cell_T_sample = _cell_T_map(sampler.texture.at(level)[0]) @ map_T_pixel @ _pixel_T_sample(top, count)
        drawn.append(sampler.on_plane(level, cell_T_sample, (width, end - top), count))
    ground = sampler.joined(drawn)
    split = whole_from(first, inv[first:].min(axis=1) > 1 / HORIZON_DEPTH_M)
    columns = a * np.arange(width) + b * np.arange(first, split)[:, None] + c
    np.copyto(image[first:split], ground[: split - first], where=(columns > 1 / HORIZON_DEPTH_M)[..., None])
    image[split:] = ground[split - first :]
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


def whole_from(first: int, is_whole: NDArray[np.bool_]) -> int:
    """The row from which on all rows are ground from left to right; `is_whole` tells it of the rows from `first` on."""
    partly = np.flatnonzero(~is_whole)
    return first + (int(partly[-1]) + 1 if len(partly) else 0)


def _cell_T_map(grid: BevGrid) -> NDArray[np.float64]:
    x, y = grid.to_cells((0.0, 0.0))
    return np.array([[1 / grid.cell, 0, x], [0, 1 / grid.cell, y], [0, 0, 1]])


def _pixel_T_sample(top: int, count: int) -> NDArray[np.float64]:
    """Of a band that begins at row `top` with `count` rows of samples a row."""
    return np.array([[1, 0, 0], [0, 1 / count, top - 0.5 + 0.5 / count], [0, 0, 1]])
