# SPDX-License-Identifier: Apache-2.0
"""What `mapkd export` wrote, run beside PyTorch before the command ends.

N cameras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import model_camera
from mapkd_core.models.build import plan
from mapkd_core.models.inference import Runner, torch_runner
from mapkd_core.models.map_model import MapModel
from mapkd_core.models.onnx_graph import session
from mapkd_core.worlds.rig import nuscenes_rig

# How far an answer may be from PyTorch's: of 255; of 1; of the grid's size. In single precision anywhere, in int8 on
# average over frames that calibration has not seen: ours are 2.1, 0.011 and 0.008 away, calibrated on black 3.8, 0.019
# and 0.018.
TOLERANCE = {"probability": 1.01, "scores": 1e-3, "points": 1e-3}
INT8_TOLERANCE = {"probability": 3.0, "scores": 0.02, "points": 0.015}


def noise(config: ModelConfig, cameras: int) -> tuple[NDArray, NDArray]:
    """Random pictures N 3 H W uint8 and the plan of the nuScenes rig; after the sixth camera the first ones again."""
    rig = [model_camera(camera, config) for camera in (nuscenes_rig() * 2)[:cameras]]
    K, poses = np.stack([c.K for c in rig]), np.stack([c.ego_T_camera for c in rig])
    size = (cameras, 3, config.image_height, config.image_width)
    images = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    return images, plan(config, K, poses, np.ones(cameras, bool))


def onnx_file(path: Path) -> Runner:
    """The file in ONNX Runtime."""
    found = session(str(path))

    def run(images: NDArray, table: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        probability, scores, points = found.run(None, {"images": images[None], "plan": table[None]})
        return probability[0], scores[0], points[0]

    return run


def checked(model: MapModel, run: Runner, frames: Iterable[tuple[NDArray, NDArray]]) -> dict[str, float]:
    """The largest differences from PyTorch. Raises RuntimeError where one is above TOLERANCE."""
    return _refused(_apart(model, run, frames, np.max), TOLERANCE, "what was written")


def checked_int8(model: MapModel, run: Runner, frames: Iterable[tuple[NDArray, NDArray]]) -> dict[str, float]:
    """The average differences from PyTorch. Raises RuntimeError where one is above INT8_TOLERANCE."""
    return _refused(_apart(model, run, frames, np.mean), INT8_TOLERANCE, "the graph in int8")


def _apart(
    model: MapModel, run: Runner, frames: Iterable[tuple[NDArray, NDArray]], over: Callable[..., NDArray]
) -> dict[str, float]:
    reference = torch_runner(model)
    found = [
        [over(np.abs(a.astype(float) - b)) for a, b in zip(run(*frame), reference(*frame), strict=True)]
        for frame in frames
    ]
    return {name: float(over(values)) for name, values in zip(TOLERANCE, np.transpose(found), strict=True)}


def _refused(away: dict[str, float], most: Mapping[str, float], what: str) -> dict[str, float]:
    if wrong := [name for name, value in away.items() if not value <= most[name]]:
        raise RuntimeError(f"{what} answers otherwise than PyTorch in {', '.join(wrong)}: {away}, at most {most}")
    return away
