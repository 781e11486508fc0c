# SPDX-License-Identifier: Apache-2.0
"""A real frame: its true map projected into the six images lies on the paint, and on what the LiDAR saw.

Each true line is looked at across: at every lateral offset from the label, how bright are the images there, how bright
and how high are the LiDAR's points? Paint and kerb stand out where the label is, if all transforms are right.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mapkd_core.data.frame_folder import FrameFolder, read_frame_folder
from mapkd_core.drawing.cameras import densify
from mapkd_core.geometry import from_euler, project, transform
from mapkd_core.types import Camera, MapElement

ACROSS_M = np.arange(-0.8, 0.801, 0.05)
DIVIDERS_AHEAD = (2, 3)  # among the elements: the two dividers of the own road, from 8 m ahead on
KERBS = (6, 7)  # right and left edge of the own road


@pytest.fixture(scope="module")
def real(shared_data: Path) -> FrameFolder:
    if not (shared_data / "scene0061").is_dir():
        pytest.skip(f"no frame folder scene0061 in {shared_data}")
    return read_frame_folder(shared_data / "scene0061")


@pytest.mark.parametrize("index", DIVIDERS_AHEAD)
def test_the_projected_dividers_lie_on_the_paint(real, index):
    """Measured: +0.05 and -0.15 m beside the label, 25 grey levels brighter than the asphalt 0.3 m to either side."""
    peak_m, contrast = paint(real.frame.cameras, real.elements[index])
    assert abs(peak_m) <= 0.2 and contrast > 20


@pytest.mark.parametrize("index", DIVIDERS_AHEAD)
def test_one_degree_of_camera_yaw_would_show(real, index):
    """Measured: the paint moves by half a metre between -1 and +1 degree, so the test before this one can fail."""
    peaks = [paint([turned(c, degrees) for c in real.frame.cameras], real.elements[index])[0] for degrees in (-1, 1)]
    assert peaks[0] - peaks[1] > 0.4


def test_lidar_and_projected_dividers_meet_in_the_front_image(real):
    """Measured: median 4-6 px, at most 14 px of 1600; 0.1 m are 12 px in 10 m distance."""
    front = next(camera for camera in real.frame.cameras if camera.name == "CAM_FRONT")
    for index in DIVIDERS_AHEAD:
        lateral, points = across(real, index, reach_m=25)
        line = densify(real.elements[index].vertices_m, False, 0.05)
        truth, depth = project(np.column_stack([line, np.zeros(len(line))]), front.K, front.ego_T_camera)
        seen, _ = project(points[np.abs(lateral) < 0.1, :3], front.K, front.ego_T_camera)
        apart = np.linalg.norm(seen[:, None] - truth[depth > 1], axis=-1).min(1)
        assert len(apart) >= 15 and np.median(apart) < 8 and apart.max() < 20


def test_the_ground_under_the_dividers_is_the_plane_that_is_projected(real):
    """Measured: within 3 cm of z = 0 on the own road; the road behind the median lies 0.3 m lower."""
    for index, element in enumerate(real.elements):
        if element.class_name == "divider":
            lateral, points = across(real, index, reach_m=15)
            z = points[np.abs(lateral) < 0.3, 2]
            assert (np.abs(z) < (0.05 if index in DIVIDERS_AHEAD else 0.35)).all()
            assert len(z) > 20 or index not in DIVIDERS_AHEAD


@pytest.mark.parametrize("index", DIVIDERS_AHEAD)
def test_the_lidar_sees_the_paint_of_the_dividers(real, index):
    """Measured: intensity 13.1 over 10.8, and 10.6 over 8.7."""
    lateral, points = across(real, index, reach_m=25)
    on, beside = np.abs(lateral) < 0.1, (np.abs(lateral) > 0.3) & (np.abs(lateral) < 0.6)
    assert on.sum() > 10 and beside.sum() > 10
    assert points[on, 3].mean() > 1.1 * points[beside, 3].mean()


@pytest.mark.parametrize("index", KERBS)
def test_the_kerbs_rise_where_the_boundaries_are(real, index):
    """Measured: from 0.00 to 0.17 m, half of it 0.2 m outside the label."""
    lateral, points = across(real, index, reach_m=15)
    heights = [np.median(points[np.abs(lateral - x) < 0.1, 2]) for x in ACROSS_M]
    assert np.abs(heights[:11]).max() < 0.05, "the road"
    assert np.min(heights[-5:]) > 0.12, "the pavement"
    assert abs(ACROSS_M[np.argmax(np.array(heights) > 0.08)]) < 0.4


def paint(cameras: list[Camera] | tuple[Camera, ...], element: MapElement) -> tuple[float, float]:
    """(offset of the brightest stripe within 0.5 m of the label, how much brighter it is than 0.3 m to both sides)."""
    line = densify(element.vertices_m, element.is_closed, 0.1)
    ground = line[:, None] + ACROSS_M[None, :, None] * left_of(line)[:, None]
    ground = np.concatenate([ground, np.zeros((*ground.shape[:2], 1))], -1)
    rows = []
    for camera in cameras:
        pixels, depth = project(ground, camera.K, camera.ego_T_camera)
        inside = (pixels >= 0) & (pixels < (camera.width - 1, camera.height - 1))
        pixels = pixels[(inside.all(-1) & (depth > 1) & (depth < 25)).all(1)].astype(np.float32)
        if len(pixels):
            grey = camera.image.mean(2).astype(np.float32)
            rows.append(cv2.remap(grey, pixels[..., 0], pixels[..., 1], cv2.INTER_LINEAR))
    profile = np.concatenate(rows).mean(0)
    sides = (np.interp(ACROSS_M - 0.3, ACROSS_M, profile) + np.interp(ACROSS_M + 0.3, ACROSS_M, profile)) / 2
    stripe = np.where(np.abs(ACROSS_M) <= 0.5, profile - sides, -np.inf)
    return float(ACROSS_M[stripe.argmax()]), float(stripe.max())


def across(real: FrameFolder, index: int, reach_m: float) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """LiDAR points near the ground, beside the element and within `reach_m`: lateral offset (left positive), points."""
    points, line = real.frame.points, densify(real.elements[index].vertices_m, False, 0.05)
    points = points[(np.abs(points[:, 2]) < 0.6) & (np.hypot(points[:, 0], points[:, 1]) < reach_m)]
    distance, nearest = cKDTree(line).query(points[:, :2])
    beside = (distance < 1.0) & (nearest > 0) & (nearest < len(line) - 1)
    nearest, points = nearest[beside], points[beside]
    return ((points[:, :2] - line[nearest]) * left_of(line)[nearest]).sum(1), points


def left_of(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors to the left of the line at each of its points."""
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    return np.stack([-along[:, 1], along[:, 0]], axis=1)


def turned(camera: Camera, degrees: float) -> Camera:
    """The camera turned about its own vertical axis."""
    turn = transform(from_euler(0, np.deg2rad(degrees), 0), [0, 0, 0])
    return replace(camera, ego_T_camera=camera.ego_T_camera @ turn)
