# SPDX-License-Identifier: Apache-2.0
"""Where the time of a prediction goes, from JPEG bytes to vectors, on pictures of full size."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.bench.timing import spread
from mapkd_core.data.image_codec import decode_compressed
from mapkd_core.geometry import planar
from mapkd_core.mapper import Mapper
from mapkd_core.types import Camera, Frame
from mapkd_core.worlds import procedural, rig
from mapkd_core.worlds.render import Renderer

WORLD_SEED = 990_001
JPEG_QUALITY = 95


def rendered_frame(time_s: float = 3.0) -> Frame:
    """Six pictures of 1600 x 900 of a made-up world: what a vehicle's cameras hand over."""
    return Renderer(procedural.make_road_map(WORLD_SEED), WORLD_SEED).frame(time_s, rig.nuscenes_rig())


def moved(cameras: Sequence[Camera], turn: int) -> list[Camera]:
    """As in a vehicle that drives: no picture is taken from quite where the last one was, so every frame is planned."""
    step = planar(0.001 * turn, 0.0, 0.0)
    return [replace(camera, ego_T_camera=step @ camera.ego_T_camera) for camera in cameras]


def stage_times(mapper: Mapper, frame: Frame, repeats: int) -> dict[str, dict[str, float]]:
    """Stage -> spread in milliseconds, all cameras together.

    decode: the JPEGs one after the other on one thread. plan: with the calibration of the frame before; plan_new: with
    another one. total: decode to vectors.
    """
    jpegs = [_encoded(camera.image) for camera in frame.cameras if camera.image is not None]
    times: dict[str, list[float]] = {"decode": [], "plan_new": [mapper.predict(frame).times_ms["plan"]], "total": []}
    mapper.predict(frame)
    for _ in range(repeats):
        start = time.perf_counter()
        images = [decode_compressed("jpeg", jpeg) for jpeg in jpegs]
        times["decode"].append(1e3 * (time.perf_counter() - start))
        cameras = tuple(replace(c, image=image) for c, image in zip(frame.cameras, images, strict=True))
        for stage, ms in mapper.predict(replace(frame, cameras=cameras)).times_ms.items():
            times.setdefault(stage, []).append(ms)
        times["total"].append(1e3 * (time.perf_counter() - start))
    return {stage: spread(ms) for stage, ms in times.items()}


def _encoded(image: NDArray[np.uint8]) -> bytes:
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return bytes(data)
