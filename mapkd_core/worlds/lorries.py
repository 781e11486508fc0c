# SPDX-License-Identifier: Apache-2.0
"""Large vehicles: vans, buses, closed and open lorries, tractors with trailers, with writing and patterns on them.

Everything stays inside the box that LiDAR meets. Quads are in drawing order for the painter's algorithm: what lies
behind from every side that shows it comes first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.drive import Box
from mapkd_core.worlds.prisms import (
    BACK,
    FRONT,
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

_GLASS = np.array([40.0, 48.0, 56.0])
_LOADS = ((150, 125, 90), (105, 100, 95), (120, 85, 55), (170, 165, 155), (90, 70, 50))


def van(box: Box, paint: NDArray[np.float64], rng: np.random.Generator) -> list[Quads]:
    """A panel van: short bonnet, high body, windows at the front only or all along."""
    length, width, height = box.length, box.width, box.height
    nose = rng.uniform(0.12, 0.2) * length
    body = length - nose
    parts = [prism((length * 0.97, width * 0.9), (length, width), 0.16, 0.35 * height, paint * 0.8)]
    parts.append(prism((length, width), (length * 0.97, width * 0.97), 0.35 * height, 0.52 * height, paint))
    upper = prism((body, width * 0.97), (body * 0.86, width * 0.88), 0.52 * height, height, paint, -nose / 2)
    upper[1][FRONT] = _GLASS
    parts.append(upper)
    reach = 0.3 if rng.random() < 0.6 else 0.88
    low, high, x1 = 0.56 * height, 0.85 * height, body / 2 - nose / 2 - 0.2 * nose
    parts.append(
        coloured([side(x1 - reach * body, x1 - 0.1, low, high, s * width * 0.485, s) for s in (-1, 1)], _GLASS)
    )
    if reach < 0.5 and rng.random() < 0.6:
        parts.append(writing(-body / 2, x1 - reach * body - 0.2, low, 0.8 * height, width * 0.49, rng))
    return parts


def bus(box: Box, paint: NDArray[np.float64], rng: np.random.Generator) -> list[Quads]:
    """Windows all along, a coloured lower half or band, doors on one side, a line number ahead."""
    length, width, height = box.length, box.width, box.height
    body = prism((length, width), (length * 0.99, width * 0.97), 0.1 * height, height, paint)
    parts = [prism((length * 0.98, width * 0.8), (length * 0.98, width * 0.8), 0.25, 0.2 * height, (45, 45, 46)), body]
    x0, x1, y = -length * 0.49, length * 0.49, width / 2 * 1.003
    band = np.clip(rng.uniform(20, 235, 3), 0, 255)
    top = rng.uniform(0.2, 0.42) * height
    parts.append(coloured([side(x0, x1, 0.12 * height, top, s * y, s) for s in (-1, 1)], band))
    low, high = 0.45 * height, 0.82 * height
    count = int(rng.integers(4, 9))
    pane = (x1 - x0) / count
    faces = [
        side(x0 + i * pane + 0.08, x0 + (i + 1) * pane - 0.08, low, high, s * y, s)
        for i in range(count)
        for s in (-1, 1)
    ]
    kerbside = int(rng.choice([-1, 1]))
    faces += [side(x, x + 1.1, 0.14 * height, high, kerbside * y, kerbside) for x in (x1 - 1.6, -0.5)]
    faces += [end(-width * 0.46, width * 0.46, 0.38 * height, 0.83 * height, length / 2 * 1.003, 1)]
    faces += [end(-width * 0.4, width * 0.4, 0.5 * height, 0.8 * height, -length / 2 * 1.003, -1)]
    parts.append(coloured(faces, _GLASS))
    number = [end(-width * 0.3, width * 0.3, 0.86 * height, 0.95 * height, length / 2 * 1.003, 1)]
    parts.append(coloured(number, (235, 160, 40)))
    if rng.random() < 0.5:
        parts.append(writing(x0 + 1, 0.0, 0.13 * height, top, y * 1.002, rng))
    return parts


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
            parts += _sides(middle - bed / 2, middle + bed / 2, low, height, width / 2 * 1.003, rng)
    parts.append(only(front, RIGHT, FRONT, LEFT, TOP))
    x1, low, high = length / 2, 0.5 * tall, 0.85 * tall
    faces = [side(x1 - cab * 0.75, x1 - 0.2 * cab, low, high, s * width / 2 * 1.005, s) for s in (-1, 1)]
    faces.append(end(-width * 0.45, width * 0.45, low, high, x1 * 1.003, 1))
    return [*parts, coloured(faces, _GLASS)]


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


def _sides(x0: float, x1: float, z0: float, z1: float, y: float, rng: np.random.Generator) -> list[Quads]:
    """What is painted on a closed body: a band or a lower field, writing, doors behind."""
    parts, tall = [], z1 - z0
    doors = [
        end(-y * 0.96, -0.03, z0 + 0.1, z1 - 0.1, x0 * 1.002, -1),
        end(0.03, y * 0.96, z0 + 0.1, z1 - 0.1, x0 * 1.002, -1),
    ]
    parts.append(coloured(doors, rng.uniform(120, 225) * np.ones(3)))
    if rng.random() < 0.5:
        low, high = sorted(rng.uniform(0.0, 1.0, 2))
        faces = [side(x0, x1, z0 + low * tall, z0 + high * tall, s * y, s) for s in (-1, 1)]
        parts.append(coloured(faces, rng.uniform(15, 230, 3)))
    if rng.random() < 0.75:
        parts.append(writing(x0 + 0.3, x1 - 0.3, z0 + 0.3 * tall, z0 + 0.8 * tall, y * 1.002, rng))
    return parts


def writing(x0: float, x1: float, z0: float, z1: float, y: float, rng: np.random.Generator) -> Quads:
    """A word on both sides: blocks as wide as letters; no letter can be read at the size that pictures have."""
    tall = min(rng.uniform(0.25, 0.8) * (z1 - z0), 1.1)
    count = min(int(rng.integers(4, 12)), int((x1 - x0) / (0.45 * tall)))
    z, pitch = rng.uniform(z0, z1 - tall), rng.uniform(0.5, 0.8) * tall
    start = rng.uniform(x0, max(x1 - count * pitch, x0 + 0.01))
    faces = []
    for i in range(count):
        x = start + i * pitch
        if rng.random() < 0.9 and x + 0.75 * pitch < x1:
            share = rng.choice([0.7, 1.0, 1.0])
            faces += [side(x, x + 0.75 * pitch, z, z + share * tall, s * y, s) for s in (-1, 1)]
    return coloured(faces, rng.uniform(10, 90, 3) if rng.random() < 0.6 else rng.uniform(150, 250, 3))
