# SPDX-License-Identifier: Apache-2.0
"""A tiny drive as a bag, and the command line that replays a bag."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from rig import CAMERAS, HEIGHT, WIDTH

from mapkd_core.bags.write import BagWriter
from mapkd_core.geometry import from_euler, planar, transform
from mapkd_core.types import Camera, Frame, MapElement

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 83_333_333
TRUTH = (MapElement("divider", np.array([[-30.0, 6.0], [30.0, 6.0]])),)


def write_drive(path: Path) -> Path:
    """24 frames of six tiny cameras at 12 Hz, with the truth that the stub predicts: a divider at y = 6 cameras."""
    K = np.array([[50.0, 0, WIDTH / 2], [0, 50.0, HEIGHT / 2], [0, 0, 1]])
    optical = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    mounts = [transform(from_euler(0, 0, -i * np.pi / 3) @ optical, [1, 0, 1.5]) for i in range(6)]
    image = np.full((HEIGHT, WIDTH, 3), (100, 20, 30), np.uint8)
    with BagWriter(path) as writer:
        for index in range(24):
            cameras = tuple(Camera(n, image, K, m, WIDTH, HEIGHT) for n, m in zip(CAMERAS, mounts, strict=True))
            pose = planar(index * 0.8, 0, 0)
            writer.add(Frame(cameras, START_NS + index * PERIOD_NS, odom_T_ego=pose), TRUTH)
    return path


def replay_arguments(bag: Path, **parameters) -> tuple[str, ...]:
    """For `start`: the replay node with these parameters."""
    pairs = {"bag": str(bag), "linger_s": 0.3, **parameters}
    written = (a for name, value in pairs.items() for a in ("-p", f"{name}:={json.dumps(value)}"))
    return ("-m", "mapkd_ros.replay_node", "--ros-args", *written)
