# SPDX-License-Identifier: Apache-2.0
"""Lines on camera images lie where they should: by hand for an ideal camera, on the paint for a real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mapkd_core.drawing.cameras import densify, draw_on_image, projected_runs
from mapkd_core.geometry import project, transform
from mapkd_core.types import Camera, MapElement

REAL_FRAME = Path(__file__).parents[3].parent / "shared" / "data" / "scene0061"

# 2 m above the ground, looking straight ahead: x right = -y, y down = -z, z forward = x.
LEVEL = transform([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], [0, 0, 2])
K = np.array([[100.0, 0, 99.5], [0, 100.0, 49.5], [0, 0, 1]])
CAMERA = Camera("CAM_FRONT", np.zeros((100, 200, 3), np.uint8), K, LEVEL, 200, 100)


def line(*vertices: tuple[float, float], closed: bool = False) -> MapElement:
    return MapElement("divider", np.array(vertices, float), closed)


def test_a_line_across_the_road_lies_on_its_row() -> None:
    # 10 m ahead and 2 m below: 100 * 2 / 10 = 20 rows below the centre, one metre is 10 columns.
    drawn = draw_on_image(CAMERA.image, CAMERA, [line((10, 3), (10, -3))]).any(-1)
    rows, columns = np.nonzero(drawn)
    assert rows.min() >= 67 and rows.max() <= 72 and abs(rows.mean() - 69.5) < 0.6
    assert abs(columns.min() - 69.5) <= 2.5 and abs(columns.max() - 129.5) <= 2.5


def test_the_same_place_on_a_smaller_image() -> None:
    small = draw_on_image(np.zeros((50, 100, 3), np.uint8), CAMERA, [line((10, 3), (10, -3))]).any(-1)
    assert abs(np.nonzero(small)[0].mean() - (70 * 0.5 - 0.5)) < 0.6


def test_what_lies_behind_is_cut_off_and_the_rest_stays() -> None:
    runs = list(projected_runs(CAMERA, line((-20, 0), (40, 0)), (200, 100)))
    points = np.concatenate([run for run, _ in runs])
    assert np.allclose(points[:, 0], 99.5) and points[:, 1].min() == pytest.approx(49.5 + 100 * 2 / 40)
    assert (points[:, 1] > 49.5).all()
    assert not list(projected_runs(CAMERA, line((-20, 0), (-5, 0)), (200, 100)))


def test_lines_get_thinner_with_distance() -> None:
    wide = Camera("CAM_FRONT", None, K * [[10], [10], [1]], LEVEL, 2000, 1000)
    thickness = [t for _, t in projected_runs(wide, line((5, 0), (60, 0)), (2000, 1000))]
    assert thickness == sorted(thickness, reverse=True) and thickness[0] > 3 * thickness[-1]


def test_densified_lines_keep_their_corners_and_rings_close() -> None:
    dense = densify(np.array([[0, 0], [1, 0], [1, 0.5]]), True, 0.25)
    assert {(1.0, 0.0), (1.0, 0.5)} <= {tuple(p) for p in dense.tolist()}
    assert dense[0].tolist() == dense[-1].tolist()
    assert np.linalg.norm(np.diff(dense, axis=0), axis=1).max() <= 0.2501


@pytest.mark.skipif(not REAL_FRAME.exists(), reason=f"the real frame is not at {REAL_FRAME}")
def test_the_true_dividers_of_the_real_frame_lie_on_the_paint() -> None:
    from mapkd_core.data.frame_folder import read_frame_folder

    folder = read_frame_folder(REAL_FRAME)
    camera = next(c for c in folder.frame.cameras if c.name == "CAM_FRONT")
    offsets = np.concatenate([_paint_offsets(camera, e) for e in folder.elements if e.class_name == "divider"])
    assert len(offsets) >= 15  # dashed lines: much of them is no paint
    assert abs(np.median(offsets)) < 0.25 and np.quantile(np.abs(offsets), 0.8) < 0.4


def _paint_offsets(camera: Camera, element: MapElement) -> np.ndarray:
    """Metres from the line to the middle of the brightest stripe beside it, where the ground looks painted."""
    line_m = densify(element.vertices_m, False, 0.25)
    along = np.gradient(line_m, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], 1) / np.linalg.norm(along, axis=1, keepdims=True)
    across = np.arange(-0.8, 0.81, 0.04)
    points = line_m[:, None] + across[None, :, None] * normal[:, None]
    pixels, depth = project(np.dstack([points, np.zeros(points.shape[:2])]), camera.K, camera.ego_T_camera)
    size = np.array([camera.width, camera.height])
    usable = ((depth > 3) & (depth < 22)).all(1) & ((pixels > 0) & (pixels < size - 1)).all((1, 2))
    columns, rows = np.round(pixels[usable]).astype(int).transpose(2, 0, 1)
    brightness = camera.image[rows, columns].mean(-1)
    contrast = brightness.max(1) - np.median(brightness, axis=1)
    bright = brightness > (np.median(brightness, axis=1) + 0.6 * contrast)[:, None]
    middle = (bright * across).sum(1) / bright.sum(1)
    return middle[contrast > 45]
