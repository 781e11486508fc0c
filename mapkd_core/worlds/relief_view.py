# SPDX-License-Identifier: Apache-2.0
"""The ground texture on a relief seen through a pinhole: as `ground_view`, but where each ray first meets the ground.

Down a column of the picture the ground is looked up at rising depths; what a nearer rise covers is left out, and
between two depths the inverse depth is linear in the row, which is exact for a plane. Columns in between follow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.ground_view import HORIZON_DEPTH_M, bands, draw_ground, plan, whole_from
from mapkd_core.worlds.relief import Relief, first_met
from mapkd_core.worlds.sampling import Sampler, widened

_DEPTHS = np.concatenate([[0.3, 1.0, 2.0, 4.0], np.arange(6.0, 60.0, 2.0), np.geomspace(60.0, HORIZON_DEPTH_M, 32)])
_LEAST_STEP_PX, _COLUMNS = 8, 32
_LEAST_UPRIGHT = 0.5  # cosine of a camera's tilt beyond which its columns no longer run downhill
_REFINEMENTS = 2

Array = NDArray[np.float64]


def draw_on_relief(
    image: NDArray[np.uint8], sampler: Sampler, K: Array, map_T_camera: Array, relief: Relief
) -> NDArray:
    """Draw the relief into `image` (H W 3, changed in place) below its skyline.

    Returns the inverse depth (1/m) of the ground at each row's left and right end, H x 2; 0 above the skyline.
    """
    rays = Rays(K, map_T_camera, image.shape[1])
    if relief.is_flat or rays.down[2] > -_LEAST_UPRIGHT / K[1, 1]:
        return _on_plane(image, sampler, K, map_T_camera, relief)
    height, width = image.shape[:2]
    inverse = rays.meet(relief, height)  # rows -1 .. height
    middle = np.maximum(inverse[:, 1:-1].mean(axis=1), 1e-9)
    depth, steepness = 1 / middle, np.abs(np.gradient(middle))
    levels, is_near, counts = plan(depth / K[0, 0], depth**2 * steepness, depth, sampler.texture)
    shown = inverse[1:-1] > 1 / HORIZON_DEPTH_M
    if not shown.any():
        return np.zeros((height, 2), np.float32)
    first = int(np.argmax(shown.any(axis=1)))
    met = inverse.astype(np.float32)
    covered = widened(met[1:-1], rays.step)[:, :width] > 1 / HORIZON_DEPTH_M
    drawn = []
    for top, end in bands(first, (levels[1:-1], is_near[1:-1], counts[1:-1])):
        level, count = (bool(is_near[top + 1]), int(levels[top + 1])), int(counts[top + 1])
        grid, _ = sampler.texture.at(level)
        away = rays.places(met, top, end, count)
        cells = away * np.float32(1 / grid.cell) + grid.to_cells(rays.origin[:2]).astype(np.float32)
        drawn.append(sampler.on_columns(level, cells, rays.step, width, count))
    ground = sampler.joined(drawn)
    split = whole_from(first, np.all(covered[first:], axis=1))
    np.copyto(image[first:split], ground[: split - first], where=covered[first:split, :, None])
    image[split:] = ground[split - first :]
    return met[1:-1, [1, -2]]


class Rays:
    """Rays of every `step`-th column, map frame, per metre of depth: start C x 3 at row 0, `down` 3 a row more."""

    def __init__(self, K: Array, map_T_camera: Array, width: int) -> None:
        self.step = max(_LEAST_STEP_PX, -(-width // _COLUMNS))
        self._columns = -(-width // self.step)
        at = (np.arange(-1, self._columns + 1) + 0.5) * self.step - 0.5  # where cv2.resize puts its sources
        map_R_pixel = map_T_camera[:3, :3] @ np.linalg.inv(K)
        self.start = np.stack([at, np.zeros_like(at), np.ones_like(at)], -1) @ map_R_pixel.T
        self.down, self.origin = map_R_pixel[:, 1], map_T_camera[:3, 3]

    def meet(self, relief: Relief, height: int) -> Array:
        """(height + 2) x C: inverse depth of the ground along the rays of rows -1 .. height, 0 for the sky."""
        depth, below = _DEPTHS[:, None], self.origin[2] - relief.height(self.origin[:2])
        row = (-below / depth - self.start[:, 2]) / self.down[2]
        for _ in range(_REFINEMENTS):  # rows are steep: the place at a depth hardly depends on the row
            xy = self.origin[:2] + depth[..., None] * (self.start[:, :2] + row[..., None] * self.down[:2])
            row = ((relief.height(xy) - self.origin[2]) / depth - self.start[:, 2]) / self.down[2]
        wanted = -np.arange(-1.0, height + 1)[:, None] + np.zeros(len(self.start))
        return first_met(-row, 1 / _DEPTHS, wanted)

    def places(self, inverse: NDArray[np.float32], top: int, end: int, count: int) -> NDArray[np.float32]:
        """Metres from below the camera ((end - top) count x C x 2) of `count` rays a row, by `inverse` as of `meet`."""
        rows = (top - 0.5 + (np.arange((end - top) * count) + 0.5) / count).astype(np.float32)
        before = np.floor(rows).astype(int)
        share = (rows - before.astype(np.float32))[:, None]
        met = (1 - share) * inverse[before + 1] + share * inverse[before + 2]
        depth = 1 / np.maximum(met, np.float32(1 / HORIZON_DEPTH_M))
        start, down = self.start[:, :2].astype(np.float32), self.down[:2].astype(np.float32)
        return depth[..., None] * (start + rows[:, None, None] * down)


def _on_plane(image: NDArray[np.uint8], sampler: Sampler, K: Array, map_T_camera: Array, relief: Relief) -> NDArray:
    """The plane at the height below the camera: cameras that look down see little else."""
    over = map_T_camera.copy()
    over[2, 3] -= float(relief.height(map_T_camera[:2, 3]))
    return draw_ground(image, sampler, K, over)
