# SPDX-License-Identifier: Apache-2.0
"""Vans and buses: one body with windows, seen as quads in drawing order for the painter's algorithm.

Everything stays inside the box that LiDAR meets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.drive import Box
from mapkd_core.worlds.livery import writing
from mapkd_core.worlds.prisms import FRONT, GLASS, Quads, coloured, end, prism, side


def van(box: Box, paint: NDArray[np.float64], rng: np.random.Generator) -> list[Quads]:
    """A panel van: short bonnet, high body, windows at the front only or all along."""
    length, width, height = box.length, box.width, box.height
    nose = rng.uniform(0.12, 0.2) * length
    body = length - nose
    parts = [prism((length * 0.97, width * 0.9), (length, width), 0.16, 0.35 * height, paint * 0.8)]
    parts.append(prism((length, width), (length * 0.97, width * 0.97), 0.35 * height, 0.52 * height, paint))
    upper = prism((body, width * 0.97), (body * 0.86, width * 0.88), 0.52 * height, height, paint, -nose / 2)
    upper[1][FRONT] = GLASS
    parts.append(upper)
    reach = 0.3 if rng.random() < 0.6 else 0.88
    low, high, x1 = 0.56 * height, 0.85 * height, body / 2 - nose / 2 - 0.2 * nose
    parts.append(coloured([side(x1 - reach * body, x1 - 0.1, low, high, s * width * 0.485, s) for s in (-1, 1)], GLASS))
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
    parts.append(coloured(faces, GLASS))
    number = [end(-width * 0.3, width * 0.3, 0.86 * height, 0.95 * height, length / 2 * 1.003, 1)]
    parts.append(coloured(number, (235, 160, 40)))
    if rng.random() < 0.5:
        parts.append(writing(x0 + 1, 0.0, 0.13 * height, top, y * 1.002, rng))
    return parts
