# SPDX-License-Identifier: Apache-2.0
"""What a user may tune of the fusion."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FusionOptions:
    """Lengths in metres.

    gate_m: what lies farther from a track across is another line. sigma_m, sigma_per_m: standard deviation of a found
    line beside the vehicle, and what each metre of distance adds. drift: of the odometry, metres per metre.
    min_sigma_m: below it no vertex counts as known, for the errors of successive frames are alike.
    max_misses: looked at and not found so often in a row, a vertex is gone. min_hits: found so often, it is told,
    as long as it is found in `min_share` of the looks, a running mean in which the newest weighs `rate`.
    memory: frames over which the confidence is averaged. radius_m: what is farther from the vehicle is forgotten.
    max_tracks: of each class; the least often found go first.
    """

    gate_m: float = 1.5
    sigma_m: float = 0.15
    sigma_per_m: float = 0.01
    drift: float = 0.01
    min_sigma_m: float = 0.03
    max_misses: int = 5
    min_hits: int = 1
    min_share: float = 0.5
    rate: float = 0.2
    memory: int = 10
    radius_m: float = 60.0
    max_tracks: int = 200

    def __post_init__(self) -> None:
        for name in ("gate_m", "sigma_m", "min_sigma_m", "radius_m", "max_misses", "min_hits", "memory", "max_tracks"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} = {getattr(self, name)}; must be positive")
        for name in ("sigma_per_m", "drift"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} = {getattr(self, name)}; must not be negative")
