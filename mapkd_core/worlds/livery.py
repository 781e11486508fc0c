# SPDX-License-Identifier: Apache-2.0
"""What is painted on large bodies: writing, bands and fields, doors behind."""

from __future__ import annotations

import numpy as np

from mapkd_core.worlds.prisms import Quads, coloured, end, side


def livery(x0: float, x1: float, z0: float, z1: float, y: float, rng: np.random.Generator) -> list[Quads]:
    """On a closed body from x0 to x1, z0 to z1, both sides at y: doors behind, a band or a lower field, writing."""
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
