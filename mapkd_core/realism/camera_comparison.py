# SPDX-License-Identifier: Apache-2.0
"""The six real images above those of the rendered twin, one sheet per look, and their brightness statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.realism.twin import Twin, dry_looks
from mapkd_core.types import Camera
from mapkd_core.worlds import rig
from mapkd_core.worlds.render import Renderer

WIDTH, HEIGHT = 640, 360


def compare(twin: Twin, looks: int, out: Path) -> tuple[dict[str, Any], str]:
    """Summary and text; writes cameras-SEED.jpg per look into `out`: real rows above rendered rows, front then back."""
    at_stamp = [camera for camera in twin.real.frame.cameras if camera.image is not None]
    cameras = rig.scaled(at_stamp, WIDTH, HEIGHT)
    real = {c.name: cv2.resize(c.image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for c in at_stamp}
    files, ours = [], []
    for seed, look in dry_looks(looks):
        frame = Renderer(twin.road_map, seed, look).frame(twin.time_s, cameras)
        drawn = {c.name: c.image for c in frame.cameras if c.image is not None}
        files.append(out / f"cameras-{seed}.jpg")
        cv2.imwrite(str(files[-1]), np.concatenate([_rows(real, cameras), _rows(drawn, cameras)])[..., ::-1])
        ours.append(_statistics(list(drawn.values())))
    pair = {
        "real": _statistics(list(real.values())),
        "rendered": {k: float(np.mean([o[k] for o in ours])) for k in ours[0]},
    }
    rounded = {who: {name: round(value, 2) for name, value in s.items()} for who, s in pair.items()}
    lines = [f"{name:<28}{rounded['real'][name]:>10}{rounded['rendered'][name]:>10}" for name in rounded["real"]]
    text = "\n".join([f"{'':<28}{'real':>10}{'rendered':>10}", *lines, f"{len(files)} sheets in {out}"])
    rows = [[name, str(rounded["real"][name]), str(rounded["rendered"][name])] for name in rounded["real"]]
    return {"frame": twin.real.name, "looks": looks, "rows": rows}, text


def _rows(images: dict[str, NDArray[np.uint8]], cameras: tuple[Camera, ...]) -> NDArray[np.uint8]:
    """Cameras that look ahead above those that look back, each from left to right."""
    from mapkd_core.drawing.sheet import camera_rows

    rows = [np.concatenate([images[c.name] for c in row], axis=1) for row in camera_rows(cameras) if row]
    width = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in rows])


def _statistics(images: list[NDArray[np.uint8]]) -> dict[str, float]:
    """Grey level (0..255), contrast, saturation, and sharpness (deviation of the Laplacian) below the horizon."""
    ground = np.concatenate([image[HEIGHT * 6 // 10 :] for image in images])
    grey = cv2.cvtColor(ground, cv2.COLOR_RGB2GRAY)
    return {
        "grey level": float(grey.mean()),
        "contrast (deviation)": float(grey.std()),
        "saturation": float(cv2.cvtColor(ground, cv2.COLOR_RGB2HSV)[..., 1].mean()),
        "sharpness (Laplacian)": float(cv2.Laplacian(grey, cv2.CV_64F).std()),
    }
