# SPDX-License-Identifier: Apache-2.0
"""What spans the road: sign gantries, footbridges, storeys of a building that reach over the kerb lane."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds import noise

CLEARANCE_M = 5.0  # nothing hangs lower over the road
_LONGEST_HALF_M, _STEP_M, _BESIDE_M = 28.0, 0.5, 0.8
_RIB_M = 1.2  # a deck is drawn as upright ribs: cameras below it see their faces for its underside
Line = NDArray[np.float64]


class Rib(NamedTuple):
    """An upright face: outline 2 x 2 (map metres), bottom and top in metres."""

    outline: Line
    bottom: float
    top: float


def spans(count: int, track: Line, distance_at: Callable[[Line], Line], rng: np.random.Generator) -> Iterator[Rib]:
    """Faces of `count` things across or along the drive (track N x 2); distance_at: metres from points to the road."""
    for _ in range(count):
        for _ in range(8):
            index = int(rng.integers(max(len(track) - 1, 1)))
            frame = _frame(track, index)
            ends = [_kerb(track[index], side * frame[1], distance_at) for side in (1, -1)] if frame is not None else []
            if frame is not None and None not in ends:
                yield from _thing(track[index], frame, (ends[0] or 0.0, ends[1] or 0.0), rng)
                break


def texture(rng: np.random.Generator) -> NDArray[np.uint8]:
    """H W 4: concrete or steel with panels, streaks of water below."""
    height, width = 64, 384
    image = np.ones((height, width, 3)) * rng.uniform(60, 170) * rng.normal(1, 0.03, 3)
    for x in range(0, width, int(rng.choice([32, 64, 96]))):
        cv2.line(image, (x, 0), (x, height), (image[0, 0] * 0.7).tolist(), 2)
    image *= 1 + 0.07 * noise.smooth(rng, (height, width), 40.0, 4)[..., None]
    image *= np.linspace(1.1, 0.75, height)[:, None, None]
    return np.dstack([np.clip(image, 0, 255).astype(np.uint8), np.full((height, width), 255, np.uint8)])


def _thing(at: Line, frame: tuple[Line, Line], ends: tuple[float, float], rng: np.random.Generator) -> Iterator[Rib]:
    ahead, left = frame
    bottom = CLEARANCE_M + rng.uniform(0.1, 1.2)
    kind = rng.choice(["gantry", "footbridge", "overhang"], p=[0.45, 0.35, 0.2])
    if kind == "overhang":
        side, length, depth = float(rng.choice([-1, 1])), rng.uniform(10, 22), rng.uniform(3.0, 6.0)
        kerb = ends[0] if side > 0 else ends[1]
        for inward in np.arange(-2.0, depth, _RIB_M):
            middle = at + side * (kerb - inward) * left
            yield Rib(np.stack([middle - length / 2 * ahead, middle + length / 2 * ahead]), bottom, bottom + 3.2)
        for end in (-0.5, 0.5):
            corner = at + end * length * ahead + side * kerb * left
            yield Rib(np.stack([corner + 2.0 * side * left, corner - depth * side * left]), bottom, bottom + 3.2)
        return
    depth, height = (0.5, 1.0) if kind == "gantry" else (rng.uniform(2.2, 4.0), rng.uniform(1.0, 1.5))
    first, last = at + (ends[0] + 0.5) * left, at - (ends[1] + 0.5) * left
    for forward in np.linspace(0, depth, 2 + int(depth / _RIB_M)):
        yield Rib(np.stack([first, last]) + forward * ahead, bottom, bottom + height)
    for foot, out in ((first, left), (last, -left)):
        yield Rib(np.stack([foot, foot + 0.4 * out]), 0.0, bottom + height)
        yield Rib(np.stack([foot, foot + 0.4 * ahead]), 0.0, bottom + height)


def _frame(track: Line, index: int) -> tuple[Line, Line] | None:
    """Unit vectors ahead and left of the drive; None where the vehicle stands."""
    step = track[min(index + 5, len(track) - 1)] - track[max(index - 5, 0)]
    length = float(np.hypot(*step))
    if length < 0.2:
        return None
    ahead = step / length
    return ahead, np.array([-ahead[1], ahead[0]])


def _kerb(at: Line, direction: Line, distance_at: Callable[[Line], Line]) -> float | None:
    """Metres from the drive to ground beside the road; None in the middle of a junction or a wide square."""
    t = np.arange(0, _LONGEST_HALF_M, _STEP_M)
    off = np.nonzero(distance_at(at + t[:, None] * direction) > _BESIDE_M)[0]
    return float(t[off[0]]) if len(off) else None
