# SPDX-License-Identifier: Apache-2.0
"""Sound inputs, small ones: the fewer bytes, the more of them an edit hits. And hostile ones, always to be refused."""

from __future__ import annotations

import io
import json
import os
import pickle
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

_EYE = np.eye(4).tolist()
_K = [[50.0, 0, 31], [0, 52, 17], [0, 0, 1]]
_LINE = [[0.0, 1.0], [2.0, 1.5], [4.0, 2.0]]


@cache
def jpeg(suffix: str = ".jpg") -> bytes:
    """32 x 18 pixels."""
    image = np.random.default_rng(0).integers(0, 255, (18, 32, 3), np.uint8)
    return cv2.imencode(suffix, image)[1].tobytes()


def images() -> list[bytes]:
    return [b"\x01" + jpeg(), b"\x02" + jpeg(".png"), b"\x03" + jpeg(), b"\x00" + jpeg(".png")]


def _calibration() -> dict[str, Any]:
    pose = {"translation": [1.0, 0.5, 1.5], "rotation_xyzw": [0.0, 0.0, 0.0, 1.0]}
    cameras = {
        "CAM_FRONT": {"width": 64, "height": 36, "K": _K, "ego_T_camera": _EYE},
        "cam_back": {"width": 64, "height": 36, "K": np.array(_K).ravel().tolist(), "ego_T_camera": pose},
    }
    return {"cameras": cameras, "ego_T_lidar": _EYE}


def calibrations() -> list[bytes]:
    return [json.dumps(_calibration()).encode()]


def calibrations_yaml() -> list[bytes]:
    import yaml

    bomb = b"a: &a [x, x, x, x, x, x, x, x, x]\n"
    for name, before in zip("bcdefgh", "abcdefg"):
        bomb += f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n".encode()
    return [yaml.safe_dump(_calibration()).encode(), bomb + b"cameras: *h\n", b"cameras: {A: &a {width: *a}}\n"]


def settings() -> list[bytes]:
    hostile = b"data: !!python/object/apply:os.system ['touch /tmp/mapkd-owned']\n"
    model = b"model:\n  bev_width: 16\n  grid: {x_min: -15.0, x_max: 15.0}\n  heights: [0.0, 0.5]\n"
    return [
        b"steps: 10\nweights: {point: 3.0}\n" + model,
        hostile,
        b"scheme: mapkd\nscheme_settings: {a: 1}\nmirror: false\n",
    ]


def overrides() -> list[bytes]:
    return [b"model.grid.cell=0.3", b"steps=10", b"model.modalities=[camera, lidar]", b"weights={point: 2}"]


def frames() -> list[bytes]:
    camera = {
        "file": "a.jpg", "K": _K, "cam2ego_static": _EYE, "ego_at_lidar_to_cam": _EYE, "width": 32, "height": 18,
        "timestamp_s": 1.6e9,
    }  # fmt: skip
    whole = {
        "name": "f", "timestamp_us": 1_600_000_000_000_000, "cameras": {"CAM_FRONT": camera}, "ego2global": _EYE,
        "lidar": "lidar.bin", "lidar2ego": _EYE, "classes_labelled": ["divider"], "gt_60x30": {"divider": [_LINE]},
    }  # fmt: skip
    return [json.dumps(whole).encode()]


def road_maps() -> list[bytes]:
    agent = {"type": "car", "length": 4.5, "width": 1.8, "height": 1.5, "poses": [[0, 5, 5, 0], [1.5, 6, 5, 0]]}
    content = {
        "divider": [_LINE], "boundary": [_LINE], "ped_crossing": [[[0, 0], [1, 0], [1, 1], [0, 0]]],
        "lane_centerline": [_LINE], "ego": [[0, 0, 0, 0], [0.1, 1, 0, 0], [0.2, 2, 0, 0]], "agents": [agent],
        "sd_road": [{"type": "residential", "points": _LINE}], "classes_labelled": ["divider"],
        "drivable": [[[[0, 0], [9, 0], [9, 9], [0, 0]]]],
    }  # fmt: skip
    return [json.dumps(content).encode()]


def submissions() -> list[bytes]:
    own = {"frames": {"t0": [{"class": "divider", "points": _LINE, "score": 0.5, "track": 3}]}, "scenes": {"s": ["t0"]}}
    maptr = {"results": [{"sample_token": "t", "vectors": [{"pts": _LINE, "cls_name": "divider", "type": 0, "confidence_level": 0.5}]}]}  # fmt: skip # noqa: E501
    stream = {"results": {"t": {"vectors": [_LINE], "scores": [0.5], "labels": [1], "global_ids": [4]}}}
    return [json.dumps(content).encode() for content in (own, maptr, stream)]


@cache
def _pair() -> tuple[bytes, bytes]:
    from mapkd_core.config import ModelConfig
    from mapkd_core.grid import BevGrid
    from mapkd_core.models.build import build
    from mapkd_core.training.checkpoint import save_weights

    sizes: dict[str, Any] = {
        "camera_width": 8,
        "detail_width": 4,
        "bev_width": 8,
        "query_width": 8,
        "query_layers": 1,
    }
    config = ModelConfig(
        32, 32, grid=BevGrid(-2.4, 2.4, -1.2, 1.2, 0.15), points=4, queries=2, query_groups=1, embedding=2, **sizes
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "w.safetensors"
        save_weights(path, build(config).state_dict(), config, {"classes": list(config.classes)})
        return path.read_bytes(), path.with_suffix(".json").read_bytes()


def weights() -> bytes:
    return _pair()[0]


def card() -> bytes:
    return _pair()[1]


class _Touch:
    """Unpickled without care, it runs a command."""

    def __reduce__(self) -> Any:
        return os.system, ("touch /tmp/mapkd-owned",)


def checkpoints() -> list[bytes]:
    import torch

    stream = io.BytesIO()
    torch.save({"config": {"a": 1}, "step": 3, "model": {"w": torch.zeros(4)}}, stream)
    hostile = io.BytesIO()
    torch.save({"config": _Touch()}, hostile)
    return [stream.getvalue(), hostile.getvalue(), pickle.dumps(_Touch()), pickle.dumps({"config": {}})]
