# SPDX-License-Identifier: Apache-2.0
"""Splits whose scenes keep a distance: no place of the training drives is seen again in validation or test.

nuScenes' official split leaks: over 80 % of its validation samples lie within 5 m of a training sample (Lilja et al.,
arXiv:2312.06420). Here each city is cut into three bands along a random direction, by shares of its samples, and scenes
that come too near to another band are left out. Of many directions the one that loses least is taken, per city.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Track = NDArray[np.float64]  # N x 2 ego positions of a scene's samples, metres in the map frame
NAMES = ("train", "val", "test")
DIRECTIONS = 64


def geographic_split(
    tracks: Mapping[str, Mapping[str, Track]],
    distance_m: float = 100.0,
    shares: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int = 0,
) -> dict[str, Any]:
    """JSON-ready split of tracks (city -> scene -> positions): train, val, test, left_out, and how it was made.

    Positions of two different splits are at least `distance_m` apart. Raises ValueError for shares that are no shares.
    """
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6 or distance_m < 0:
        raise ValueError(
            f"shares {list(shares)} of train, val, test must sum to 1, distance {distance_m} m be positive"
        )
    rng = np.random.default_rng(seed)
    of: dict[str, str] = {}
    for city in sorted(tracks):
        of |= _cut_city(tracks[city], distance_m, shares, rng)
    split: dict[str, Any] = {name: sorted(s for s, n in of.items() if n == name) for name in (*NAMES, "left_out")}
    samples = {name: sum(len(t) for c in tracks.values() for s, t in c.items() if of[s] == name) for name in split}
    split["about"] = {
        "made_by": "mapkd nuscenes split", "seed": seed, "distance_m": distance_m, "shares": list(shares),
        "samples": samples, "nearest_m": nearest(tracks, of),
    }  # fmt: skip
    return split


def nearest(tracks: Mapping[str, Mapping[str, Track]], of: Mapping[str, str]) -> dict[str, float | None]:
    """Smallest distance in metres between positions of each two splits; None where they share no city."""
    found: dict[str, float | None] = {}
    for a, b in (("train", "val"), ("train", "test"), ("val", "test")):
        gaps = [
            _gap([t for s, t in city.items() if of[s] == a], [t for s, t in city.items() if of[s] == b])
            for city in tracks.values()
        ]
        found[f"{a}-{b}"] = None if np.isinf(min(gaps, default=np.inf)) else round(float(min(gaps)), 2)
    return found


def _cut_city(
    city: Mapping[str, Track], distance_m: float, shares: Sequence[float], rng: np.random.Generator
) -> dict[str, str]:
    """The best of DIRECTIONS cuts: fewest samples left out plus those by which the shares are missed."""
    best: dict[str, str] = {}
    lowest = np.inf
    for angle in rng.uniform(0, 2 * np.pi, DIRECTIONS):
        of = _banded(city, np.array([np.cos(angle), np.sin(angle)]), shares)
        _leave_out(city, of, distance_m)
        total = sum(map(len, city.values()))
        got = {name: sum(len(city[s]) for s in city if of[s] == name) / total for name in (*NAMES, "left_out")}
        cost = got["left_out"] + sum(abs(got[name] - share) for name, share in zip(NAMES, shares, strict=True))
        if cost < lowest - 1e-9:
            best, lowest = of, cost
    return best


def _banded(city: Mapping[str, Track], direction: NDArray[np.float64], shares: Sequence[float]) -> dict[str, str]:
    """Scenes in the order of their middles along a direction, cut where the shares of samples are reached."""
    order = sorted(city, key=lambda scene: float(city[scene].mean(0) @ direction))
    counts = np.array([len(city[scene]) for scene in order])
    middles = (np.cumsum(counts) - counts / 2) / counts.sum()
    band = np.minimum(np.searchsorted(np.cumsum(shares), middles), 2)
    return {scene: NAMES[i] for scene, i in zip(order, band, strict=True)}


def _leave_out(city: Mapping[str, Track], of: dict[str, str], distance_m: float) -> None:
    """Training scenes too near to val or test go, then val scenes too near to test; in place."""
    for name, others in (("train", ("val", "test")), ("val", ("test",))):
        kept = [city[scene] for scene in city if of[scene] in others]
        if kept:
            tree = cKDTree(np.concatenate(kept))
            for scene in city:
                if of[scene] == name and tree.query(city[scene])[0].min() < distance_m:
                    of[scene] = "left_out"


def _gap(a: Sequence[Track], b: Sequence[Track]) -> float:
    return float(cKDTree(np.concatenate(a)).query(np.concatenate(b))[0].min()) if a and b else np.inf
