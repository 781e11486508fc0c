# SPDX-License-Identifier: Apache-2.0
"""Which ground the cameras see: cells that lie in some picture and are not covered there by what stands up.

The solids are drawn once more, over a colour that none of them has: what keeps that colour is open. Kerbs are left
out; they hide a hand's width, and the very boundary that they mark would count as hidden.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import project
from mapkd_core.grid import BevGrid
from mapkd_core.types import Camera
from mapkd_core.worlds import drive
from mapkd_core.worlds.render import Renderer

_OPEN = (255, 0, 255)  # RGB; haze and lamps never give it


def seen_cells(renderer: Renderer, time_s: float, rig: Sequence[Camera], grid: BevGrid) -> NDArray[np.bool_]:
    """Y X: whether some camera of the rig sees the ground at the cell's centre, `time_s` on the drive's clock."""
    tilt = renderer.tilt_at(time_s)
    map_T_body = renderer.pose_at(time_s) @ tilt
    boxes = drive.boxes_at(renderer.road_map, time_s) if renderer.scene.enabled else []
    centres = grid.centres().reshape(-1, 2)
    relief = renderer.relief.seen_from(drive.pose_at(renderer.road_map, time_s))
    ground = np.column_stack([centres, relief.height(centres)])
    seen = np.zeros(len(ground), bool)
    for camera in rig:
        picture = np.full((camera.height, camera.width, 3), _OPEN, np.uint8)
        if renderer.scene.enabled:
            map_T_camera = map_T_body @ camera.ego_T_camera
            renderer.scene.draw(picture, camera.K, map_T_camera, map_T_body, boxes, kerbs=False)
        is_open = (picture == _OPEN).all(-1)
        uv, depth = project(ground, camera.K, tilt @ camera.ego_T_camera)
        column, row = np.round(uv).T
        inside = (depth > 0) & (column >= 0) & (column < camera.width) & (row >= 0) & (row < camera.height)
        seen[inside] |= is_open[row[inside].astype(int), column[inside].astype(int)]
    return seen.reshape(grid.shape)


def on_grid(seen: NDArray[np.bool_], of: BevGrid, grid: BevGrid) -> NDArray[np.bool_]:
    """Y X of `grid`: what the cells of `of` say around its cells' centres. ValueError where `grid` reaches farther."""
    cells = np.round(of.to_cells(grid.centres())).astype(int)
    if seen.shape != of.shape or cells.min() < 0 or (cells >= of.shape[::-1]).any():
        raise ValueError(f"seen cells {seen.shape} of {of} cannot speak for {grid}: it reaches farther")
    return seen[cells[..., 1], cells[..., 0]]
