# SPDX-License-Identifier: Apache-2.0
"""Upkeep: what years of repairs and neglect leave on and beside the road; most worlds have little of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]  # RGB 0..255


@dataclass(frozen=True)
class Upkeep:
    """Amounts from 0 (none) to 1 (much) unless said otherwise; the defaults are a world without any of it.

    ghosts: old dividers, arrows and crossings beside the current ones. tar: sealed cracks along the lanes.
    resurfaced: share of lanes with a length of other asphalt; trenches: of narrow ones. asphalts: factors of the
    road's colour, RGB. special: "", or what some roads are made of: "slabs" of concrete or "setts".
    special_share: of the roads. earth: bare earth in grass.
    district: how much of the footways has the second material, of district_colour.
    bushes, railings: low things within a few metres of the kerb. symbols: arrows, words, stop lines before junctions.
    dropped: share of the places for a driveway that have one, where the kerb is flush.
    spans: things over the road in reach of the drive, a whole number.
    """

    ghosts: float = 0.0
    tar: float = 0.0
    resurfaced: float = 0.0
    trenches: float = 0.0
    asphalts: tuple[Colour, Colour] = ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0))
    special: str = ""
    special_share: float = 0.0
    special_colour: Colour = (150.0, 150.0, 145.0)
    district: float = 0.0
    district_colour: Colour = (150.0, 140.0, 130.0)
    earth: float = 0.0
    bushes: float = 0.0
    railings: float = 0.0
    symbols: float = 0.0
    dropped: float = 0.0
    spans: int = 0


def draw_upkeep(seed: int) -> Upkeep:
    """The upkeep of world `seed`, from random numbers of its own: the rest of a look does not depend on it."""
    rng = np.random.default_rng([seed, 0x0EC])
    special = str(rng.choice(["", "slabs", "setts"], p=[0.86, 0.08, 0.06]))
    grey = rng.uniform(135, 185) if special == "slabs" else rng.uniform(75, 150)
    return Upkeep(
        ghosts=_in_some(rng, 0.30, 0.2, 1.0),
        tar=_in_some(rng, 0.35, 0.1, 1.0),
        resurfaced=_in_some(rng, 0.50, 0.1, 0.7),
        trenches=_in_some(rng, 0.45, 0.1, 0.8),
        asphalts=(_tint(rng, 0.62, 0.85), _tint(rng, 1.12, 1.35)),
        special=special,
        special_share=float(rng.uniform(0.15, 0.8)),
        special_colour=tuple((grey * rng.normal(1, 0.015, 3) * (1.02, 1.0, 0.96)).tolist()),
        district=_in_some(rng, 0.5, 0.2, 0.8),
        district_colour=tuple((rng.uniform(95, 185) * rng.normal((1.06, 0.98, 0.9), 0.025)).tolist()),
        earth=_in_some(rng, 0.7, 0.15, 1.0),
        bushes=_in_some(rng, 0.65, 0.1, 1.0),
        railings=_in_some(rng, 0.4, 0.1, 0.8),
        symbols=_in_some(rng, 0.6, 0.2, 1.0),
        dropped=_in_some(rng, 0.8, 0.2, 0.9),
        spans=int(rng.choice([0, 1, 2], p=[0.72, 0.21, 0.07])),
    )


def _in_some(rng: np.random.Generator, share: float, low: float, high: float) -> float:
    """An amount in a share of the worlds, none in the others."""
    amount, is_there = rng.uniform(low, high), rng.random() < share
    return float(amount) if is_there else 0.0


def _tint(rng: np.random.Generator, low: float, high: float) -> Colour:
    factor = rng.uniform(low, high) * rng.normal(1, 0.012, 3)
    return tuple(factor.tolist())
