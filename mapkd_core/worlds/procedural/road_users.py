# SPDX-License-Identifier: Apache-2.0
"""Boxes of road users with the sizes that such things have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.procedural.route import DURATION_S
from mapkd_core.worlds.road_map import Agent

POSE_STEP_S = 0.5
VEHICLES = {  # length, width, height and their spread, share of moving traffic
    "car": ((4.6, 1.92, 1.62), 0.06, 0.66),
    "pickup": ((5.35, 1.95, 1.88), 0.03, 0.04),
    "van": ((5.5, 2.05, 2.4), 0.08, 0.13),
    "truck": ((8.0, 2.55, 3.2), 0.18, 0.09),
    "trailer": ((15.0, 2.55, 3.8), 0.05, 0.02),
    "bus": ((11.8, 2.7, 3.3), 0.05, 0.06),
}


def pose_times() -> NDArray[np.float64]:
    return np.arange(round(DURATION_S / POSE_STEP_S) + 1, dtype=np.float64) * POSE_STEP_S


def still(xy: NDArray[np.float64], yaw: float) -> NDArray[np.float64]:
    return np.array([[0.0, xy[0], xy[1], yaw]])


def vehicle(rng: np.random.Generator, poses: NDArray[np.float64], kind: str | None = None) -> Agent:
    names = list(VEHICLES)
    kind = kind or str(rng.choice(names, p=[VEHICLES[name][2] for name in names]))
    size, spread, _ = VEHICLES[kind]
    length, width, height = np.array(size) * (1 + spread * np.clip(rng.normal(size=3) * (1, 0.5, 0.7), -2, 2))
    return Agent("VEHICLE", float(length), float(width), float(height), poses)


def person(rng: np.random.Generator, poses: NDArray[np.float64]) -> Agent:
    height = float(np.clip(rng.normal(1.72, 0.12), 1.1, 2.0))
    return Agent("PEDESTRIAN", float(rng.uniform(0.5, 0.9)), float(rng.uniform(0.5, 0.8)), height, poses)
