# SPDX-License-Identifier: Apache-2.0
"""What kind of district a made-up map shows: every figure that the other parts of this package draw from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Style:
    """Chances 0..1, lengths in metres, speeds in m/s."""

    district: str
    main_lanes: tuple[int, int]  # forward, backward
    lane_width: float
    median_width: float
    kerbed_median: bool
    straight: float  # share of straight road pieces
    min_radius: float
    bend: float  # chance of a tight corner in a side street
    spacing: tuple[float, float]  # between junctions along a road
    driveway_spacing: float
    cross_share: float  # four-way among the junctions
    crossing_chance: float
    midblock_chance: float
    slip_chance: float
    parking_chance: float
    frontage_chance: float
    pocket_chance: float
    lot_chance: float
    unmarked_chance: float  # side streets without any divider
    corner_radius: tuple[float, float]
    skew: float  # largest deviation of a junction from a right angle, radians
    speed: float
    traffic: float  # moving vehicles per 100 m of lane
    people: float  # pedestrians per 100 m of road


DISTRICTS = ("arterial", "downtown", "residential", "boulevard", "campus", "industrial")
SHARES = (0.26, 0.28, 0.08, 0.20, 0.09, 0.09)


def random_style(rng: np.random.Generator) -> Style:
    """A style whose figures spread widely around those of its district."""
    district = str(rng.choice(DISTRICTS, p=SHARES))
    wide = district in ("arterial", "boulevard")
    narrow = district in ("residential", "campus")
    return Style(
        district=district,
        main_lanes=_main_lanes(rng, district),
        lane_width=float(rng.uniform(2.8, 3.4) if narrow else rng.uniform(2.9, 3.9)),
        median_width=float(rng.uniform(0.9, 2.5) if rng.random() < 0.6 else rng.uniform(2.5, 8.0)),
        kerbed_median=bool(rng.random() < {"boulevard": 1.0, "arterial": 0.8, "downtown": 0.5}.get(district, 0.15)),
        straight=float(rng.uniform(0.2, 0.9)),
        min_radius=float(rng.uniform(12, 30) if narrow else rng.uniform(25, 60)),
        bend=float(rng.uniform(0.1, 0.5) if narrow else rng.uniform(0.0, 0.15)),
        spacing=(40.0, float(rng.uniform(70, 130))) if not wide else (60.0, float(rng.uniform(100, 180))),
        driveway_spacing=float(np.exp(rng.uniform(np.log(14), np.log(80)))),
        cross_share=float(rng.uniform(0.1, 0.8)),
        crossing_chance=float(rng.choice([0.0, 0.4, 0.8, 0.97], p=[0.12, 0.2, 0.38, 0.3])),
        midblock_chance=float(rng.uniform(0.0, 0.35)),
        slip_chance=float(rng.uniform(0.1, 0.8) if wide else rng.uniform(0, 0.35)),
        parking_chance=float(rng.uniform(0.2, 0.9) if not wide else rng.uniform(0.0, 0.5)),
        frontage_chance=float(rng.choice([0.0, 0.4, 0.9], p=[0.3, 0.35, 0.35]) if district != "residential" else 0.0),
        pocket_chance=float(rng.uniform(0.3, 0.9)),
        lot_chance=float(rng.uniform(0.1, 0.9)),
        unmarked_chance=float(rng.uniform(0.0, 0.4) if not narrow else rng.uniform(0.3, 0.8)),
        corner_radius=(float(rng.uniform(1.5, 4)), float(rng.uniform(5, 13))),
        skew=float(rng.choice([0.05, 0.2, 0.5])),
        speed=float(rng.uniform(4, 8) if narrow else rng.uniform(6, 15)),
        traffic=float(rng.uniform(0.5, 5.0)),
        people=float(np.exp(rng.uniform(np.log(1.5), np.log(60)))),
    )


def _main_lanes(rng: np.random.Generator, district: str) -> tuple[int, int]:
    if district in ("arterial", "boulevard"):
        forward = int(rng.choice([1, 2, 3, 4], p=[0.08, 0.52, 0.30, 0.10]))
        return forward, max(1, forward + int(rng.choice([-1, 0, 1], p=[0.25, 0.6, 0.15])))
    if district == "downtown":
        lanes = [(1, 1), (2, 1), (2, 2), (2, 0), (3, 0), (3, 2), (4, 0), (3, 3)]
        return lanes[rng.choice(len(lanes), p=[0.18, 0.18, 0.27, 0.10, 0.08, 0.10, 0.04, 0.05])]
    if district == "industrial":
        return ((1, 1), (2, 2), (2, 1))[rng.choice(3, p=[0.5, 0.3, 0.2])]
    return ((1, 1), (1, 0), (2, 0))[rng.choice(3, p=[0.72, 0.18, 0.10])]
