# SPDX-License-Identifier: Apache-2.0
"""Where the cameras look: the geometry that the view transforms share, in numpy, once per calibration.

N cameras, Z heights, Y X BEV cells, D depths, h w features. Pixel (0, 0) is the centre of the first pixel.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid

OUTSIDE = -2.0  # a normalised coordinate that grid_sample reads as zero
NEAREST_DEPTH_M = 0.3


def ground_lookup(
    K: NDArray, ego_T_camera: NDArray, valid: NDArray, size: tuple[int, int], grid: BevGrid, heights: tuple[float, ...]
) -> NDArray[np.float32]:
    """For every cell and height the place in the pictures where it is seen best.

    K: N 3 3 of pictures of `size` (H, W) px; ego_T_camera: N 4 4; valid: N bool.
    Returns Z Y X 2: x y in [-1, 1] of the N pictures stacked on top of each other (grid_sample, align_corners=False);
    OUTSIDE where no valid camera sees the cell. Among several cameras the one that sees the cell farthest from its
    picture's left and right edge wins.
    """
    height_px, width_px = size
    ground = _ground(grid)
    projection = K @ np.linalg.inv(ego_T_camera)[:, :3]  # N 3 4
    lookup = np.empty((len(heights), ground.shape[1], 2), np.float32)
    everywhere = len(K) * height_px  # rows of the stacked pictures
    projected = np.empty(ground.shape, np.float32)
    for level, z in zip(lookup, heights, strict=True):
        plane = projection[:, :, [0, 1, 3]]
        plane[:, :, 2] += projection[:, :, 2] * z
        plane[:, :2] += 0.5 * plane[:, 2:]  # pixels from the picture's corner
        plane = plane.astype(np.float32)
        margin, x, y, here = np.zeros((4, ground.shape[1]), np.float32)  # margin: of the best camera so far, in px
        x[:], y[:] = 0.5 * (OUTSIDE + 1) * width_px, 0.5 * (OUTSIDE + 1) * everywhere
        for camera in map(int, np.flatnonzero(valid)):
            u, v, depth = np.matmul(plane[camera], ground, out=projected)
            with np.errstate(divide="ignore", invalid="ignore"):
                projected[:2] /= depth
            np.minimum(u, np.subtract(width_px, u, out=here), out=here)
            # Masks over all cells: to gather those that are seen and to scatter them again takes twice as long.
            seen = (here > margin) & (depth > NEAREST_DEPTH_M) & (v > 0) & (v < height_px)
            np.copyto(margin, here, where=seen)
            np.copyto(x, u, where=seen)
            # Half a coarse feature away from the upper and lower edge, lest the neighbour in the stack shines through.
            np.clip(v, 4, height_px - 4, out=v)
            v += camera * height_px
            np.copyto(y, v, where=seen)
        level[:, 0] = x / width_px * 2 - 1
        level[:, 1] = y / everywhere * 2 - 1
    return lookup.reshape(len(heights), *grid.shape, 2)


@lru_cache(maxsize=8)
def _ground(grid: BevGrid) -> NDArray[np.float32]:
    """3 cells: x, y and 1 of every cell, in single precision, which is a thousandth of a pixel and half the time."""
    centres = grid.centres().reshape(-1, 2)
    ground = np.stack([*centres.T, np.ones(len(centres))]).astype(np.float32)
    ground.flags.writeable = False
    return ground


def frustum_cells(
    K: NDArray,
    ego_T_camera: NDArray,
    valid: NDArray,
    size: tuple[int, int],
    grid: BevGrid,
    depths: NDArray,
    stride: int,
) -> NDArray[np.int32]:
    """N D h w: the flat BEV cell (row-major over Y X) into which each point of each camera's frustum falls.

    depths: metres along the optical axis. Points outside the grid, above 3 m, below -3 m, or of an invalid camera get
    the index Y * X, one past the last cell.
    """
    height_px, width_px = size
    rows, columns = grid.shape
    v, u = np.mgrid[: height_px // stride, : width_px // stride]
    pixels = np.stack([(u + 0.5) * stride - 0.5, (v + 0.5) * stride - 0.5, np.ones(u.shape)], -1)  # h w 3
    rays = np.einsum("nij,hwj->nhwi", np.linalg.inv(K), pixels)
    points = rays[:, None] * depths[:, None, None, None]  # N D h w 3, camera frame
    ego = np.einsum("nij,ndhwj->ndhwi", ego_T_camera[:, :3, :3], points) + ego_T_camera[:, None, None, None, :3, 3]
    cells = np.floor((ego[..., :2] - (grid.x_min, grid.y_min)) / grid.cell).astype(np.int64)
    inside = (cells[..., 0] >= 0) & (cells[..., 0] < columns) & (cells[..., 1] >= 0) & (cells[..., 1] < rows)
    inside &= (np.abs(ego[..., 2]) < 3.0) & valid[:, None, None, None]
    return np.where(inside, cells[..., 1] * columns + cells[..., 0], rows * columns).astype(np.int32)
