# SPDX-License-Identifier: Apache-2.0
"""Low things within a few metres of the kerb: bushes and railings. They hide the ground."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds import noise, polylines, sprites

REACH_M = 45.0  # from the drive: farther ones are a few pixels
RAIL_TILE_M = (12.0, 1.0)  # length and height that one texture of a railing covers
Line = NDArray[np.float64]


def bush(rng: np.random.Generator) -> NDArray[np.uint8]:
    """H W 4: a clump of leaves with a ragged outline, broad at its foot."""
    height, width = 64, 96
    v, u = np.mgrid[:height, :width].astype(np.float32)
    lumps = noise.smooth(rng, (height, width), 22.0, 4, 0.75)
    radius = np.hypot((u - width / 2) / (0.47 * width), (v - height) / (0.9 * height))
    leaves = noise.smooth(rng, (height, width), 8.0, 3, 0.8)
    light = np.clip(1.25 - 0.8 * v / height + 0.3 * leaves, 0.2, 1.7)
    image = np.clip(sprites.leaf_colour(rng) * light[..., None], 0, 255).astype(np.uint8)
    return np.dstack([image, ((radius + 0.16 * lumps < 0.86) * 255).astype(np.uint8)])


def bushes(
    lines: Callable[[float], list[Line]], track: Line, amount: float, rng: np.random.Generator
) -> Iterator[tuple[Line, tuple[float, float]]]:
    """Foot and size (width, height) of every bush, in rows. lines: polylines at a distance from the road."""
    if amount <= 0:
        return
    for metres in rng.uniform((0.7, 1.8), (1.8, 4.5)):
        for row in _runs(lines(float(metres)), track, 0.45 * amount, (2.0, 14.0), rng):
            s = np.cumsum(rng.uniform(0.9, 1.9, 16))
            feet = polylines.at(row, s[s < polylines.arc_lengths(row)[-1]])
            for foot in feet:
                yield foot + rng.normal(0, 0.12, 2), (rng.uniform(1.2, 2.4), rng.uniform(0.4, 1.3))


def railings(
    lines: Callable[[float], list[Line]], track: Line, amount: float, rng: np.random.Generator
) -> Iterator[tuple[Line, float]]:
    """Outline and height of every railing at the kerb."""
    if amount <= 0:
        return
    for outline in _runs(lines(float(rng.uniform(0.4, 0.7))), track, 0.5 * amount, (6.0, 40.0), rng):
        yield outline, rng.uniform(0.75, 1.1)


def _runs(
    lines: list[Line], track: Line, share: float, length_m: tuple[float, float], rng: np.random.Generator
) -> Iterator[Line]:
    """Pieces of the lines near the drive: about `share` of their length."""
    for line in lines:
        total, s = float(polylines.arc_lengths(line)[-1]), rng.uniform(0, 10)
        while s < total - 2.0:
            length = min(rng.uniform(*length_m), total - s)
            if rng.random() < share:
                piece = next(polylines.pieces(line, np.array([s]), np.array([s + length])))
                if _is_near(piece, track):
                    yield piece
            s += length + rng.uniform(0.5, 6.0)


def _is_near(piece: Line, track: Line) -> bool:
    return bool(np.hypot(*(track[::5] - piece[len(piece) // 2]).T).min() < REACH_M)
