# SPDX-License-Identifier: Apache-2.0
"""A student small enough to train in a test, the rig for it, and samples whose pictures show their truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import Prepared, model_camera
from mapkd_core.data.samples import Sample
from mapkd_core.grid import BevGrid
from mapkd_core.types import Camera, MapElement
from mapkd_core.worlds.rig import nuscenes_rig


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    """Fresh networks are the same in every test, whichever ran before."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny() -> ModelConfig:
    """12 x 6 m around the vehicle, pictures of 64 x 96."""
    sizes = {"camera_width": 16, "detail_width": 8, "bev_width": 8, "query_width": 32, "query_layers": 2}
    grid = BevGrid(-6.0, 6.0, -3.0, 3.0, 0.15)
    return ModelConfig(64, 96, grid=grid, queries=8, points=10, query_groups=2, embedding=4, **sizes)


@pytest.fixture(scope="session")
def rig(tiny: ModelConfig) -> tuple[Camera, ...]:
    """Six cameras that take the tiny student's pictures directly, wide enough to see the ground close by."""
    cameras = []
    for camera in nuscenes_rig():
        K = camera.K.copy()
        K[0, 0] = K[1, 1] = 700.0
        cameras.append(model_camera(replace(camera, K=K), tiny))
    return tuple(cameras)


@pytest.fixture(scope="session")
def make_sample(rig: tuple[Camera, ...], tiny: ModelConfig) -> Callable[[float], Sample]:
    """A divider at y = 1 + shift, a boundary at y = -2 and a crossing ahead, each in a colour of its own."""

    def make(shift: float = 0.0) -> Sample:
        crossing = np.array([(3.0, -1.5), (4.5, -1.5), (4.5, 0.5), (3.0, 0.5)])
        elements = (
            MapElement("divider", np.array([(-8.0, 1 + shift), (8.0, 1 + shift)])),
            MapElement("ped_crossing", crossing, is_closed=True),
            MapElement("boundary", np.array([(-8.0, -2.0), (8.0, -2.0)])),
        )
        images = np.stack([_painted(camera, shift) for camera in rig])
        K = np.stack([camera.K for camera in rig])
        pose = np.stack([camera.ego_T_camera for camera in rig])
        return Sample(Prepared(images, K, pose, np.ones(len(rig), bool)), elements)

    return make


def _painted(camera: Camera, shift: float) -> np.ndarray:
    """3 H W: what the camera sees of that ground."""
    rows, columns = np.mgrid[: camera.height, : camera.width]
    pixels = np.stack([columns, rows, np.ones_like(rows)], -1).astype(float)
    rays = pixels @ np.linalg.inv(camera.K).T @ camera.ego_T_camera[:3, :3].T
    down = np.minimum(rays[..., 2], -1e-3)
    xy = camera.ego_T_camera[:2, 3] - rays[..., :2] / down[..., None] * camera.ego_T_camera[2, 3]
    image = np.full((camera.height, camera.width, 3), 90, np.uint8)
    image[np.abs(xy[..., 1] - 1 - shift) < 0.3] = (250, 250, 60)
    image[np.abs(xy[..., 1] + 2) < 0.3] = (40, 60, 230)
    image[(np.abs(xy[..., 0] - 3.75) < 0.75) & (np.abs(xy[..., 1] + 0.5) < 1.0)] = (240, 240, 240)
    image[rays[..., 2] > -0.02] = (130, 180, 250)
    return image.transpose(2, 0, 1)
