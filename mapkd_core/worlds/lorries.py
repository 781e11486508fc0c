# SPDX-License-Identifier: Apache-2.0
"""Lorries: closed and open ones, tanks, tractors with trailers.

Everything stays inside the box that LiDAR meets. Quads are in drawing order for the painter's algorithm: what lies
behind from every side that shows it comes first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.drive import Box
from mapkd_core.worlds.livery import livery
from mapkd_core.worlds.prisms import (
    BACK,
    FRONT,
    GLASS,
    LEFT,
    RIGHT,
    TOP,
    Quads,
    coloured,
    end,
    inward,
    only,
    prism,
    side,
)

_LOADS = ((150, 125, 90), (105, 100, 95), (120, 85, 55), (170, 165, 155), (90, 70, 50))


def lorry(box: Box, paint: NDArray[np.float64], rng: np.random.Generator) -> list[Quads]:
    """A cab with a box, an open bed or a tank behind; longer than 12 m a tractor with a closed trailer."""
    length, width, height = box.length, box.width, box.height
    cab = (rng.uniform(0.13, 0.17) if length > 12 else rng.uniform(0.2, 0.3)) * length
    bed = length - cab - 0.3
    kind = "closed" if length > 12 else str(rng.choice(["closed", "open", "tank"], p=[0.5, 0.4, 0.1]))
    tall = height if kind == "open" else rng.uniform(0.75, 0.95) * height
    parts = [prism((length * 0.98, width * 0.8), (length * 0.98, width * 0.8), 0.3, 0.28 * height, (45, 45, 46))]
    front = prism((cab, width), (cab * 0.96, width * 0.97), 0.14 * height, tall, paint, (length - cab) / 2)
    back = only(front, BACK)  # seen over a low bed only, and then behind it
    middle = -cab / 2 - 0.15
    if kind == "open":
        parts += [back, *_open_bed(bed, width, height, middle, rng)]
    else:
        load = paint if rng.random() < 0.3 else np.clip(rng.uniform(120, 245) * rng.normal(1, 0.12, 3), 0, 255)
        low = 0.26 * height
        taper = 0.75 if kind == "tank" else 1.0
        parts.append(
            prism((bed, width * taper), (bed, width * (0.55 if kind == "tank" else 1.0)), low, height, load, middle)
        )
        if kind == "closed":
            parts += livery(middle - bed / 2, middle + bed / 2, low, height, width / 2 * 1.003, rng)
    parts.append(only(front, RIGHT, FRONT, LEFT, TOP))
    x1, low, high = length / 2, 0.5 * tall, 0.85 * tall
    faces = [side(x1 - cab * 0.75, x1 - 0.2 * cab, low, high, s * width / 2 * 1.005, s) for s in (-1, 1)]
    faces.append(end(-width * 0.45, width * 0.45, low, high, x1 * 1.003, 1))
    return [*parts, coloured(faces, GLASS)]


def _open_bed(bed: float, width: float, height: float, middle: float, rng: np.random.Generator) -> list[Quads]:
    """Boards around a floor, often with a heap of something in between."""
    low, boards = 0.28 * height, rng.uniform(0.4, 0.6) * height
    paint = np.array(
        [(60, 90, 140), (140, 60, 40), (200, 170, 60), (110, 112, 115), (50, 90, 60)][rng.integers(5)], float
    )
    shell = only(prism((bed, width), (bed, width), low, boards, paint, middle), RIGHT, FRONT, LEFT, BACK)
    floor = only(prism((bed, width), (bed, width), low - 0.05, low, (70, 66, 62), middle), TOP)
    parts = [floor, inward(shell)]
    if rng.random() < 0.7:
        heap = np.array(_LOADS[rng.integers(len(_LOADS))]) * rng.normal(1, 0.08, 3)
        size = (bed * rng.uniform(0.6, 0.92), width * 0.92)
        peak = (size[0] * rng.uniform(0.3, 0.95), size[1] * rng.uniform(0.4, 0.95))
        parts.append(prism(size, peak, low, rng.uniform(0.65, 0.98) * height, heap, middle))
    ribs = np.linspace(middle - bed / 2 + 0.1, middle + bed / 2 - 0.25, 5)
    posts = [side(x, x + 0.12, low, boards, s * width / 2 * 1.003, s) for x in ribs for s in (-1, 1)]
    return [*parts, shell, coloured(posts, paint * 0.7)]
