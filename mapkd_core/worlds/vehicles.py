# SPDX-License-Identifier: Apache-2.0
"""Road users as coloured quads: bodies of a few boxes with windows, wheels and lights drawn onto them."""

from __future__ import annotations

import zlib

import numpy as np

from mapkd_core.worlds import buses, lorries
from mapkd_core.worlds.drive import Box
from mapkd_core.worlds.prisms import TOP, Quads, end, joined, prism, side

DETAILS = 34  # the last quads of a vehicle: wheels, lamps, plates, mirrors
_HIGH_M, _LONG_M, _BUS_M = 2.2, 6.2, (8.5, 13.0)  # higher than a car (as LiDAR has it), longer, as long as a bus
_NEUTRAL = ((232, 232, 230), (200, 202, 204), (150, 152, 155), (90, 92, 96), (35, 36, 38), (22, 22, 24))
_BRIGHT = ((140, 24, 26), (30, 55, 120), (70, 110, 160), (200, 160, 40), (40, 90, 55), (120, 85, 60), (225, 215, 190))
_TAXI = ((225, 190, 30), (25, 110, 190), (205, 75, 30), (120, 160, 60), (95, 45, 90), (165, 190, 210))
_PAINTS = np.array([*_NEUTRAL, *_BRIGHT, *_TAXI], float)
_SHARES = np.array([5, 4, 3, 2, 3, 3, 1, 1, 1, 1, 0.5, 0.5, 1, 0.7, 0.7, 0.4, 0.3, 0.3, 0.6]) / 29


def quads(box: Box, seed: int) -> Quads:
    """Quads of one road user, counter-clockwise seen from outside, in drawing order; the look depends on size and seed.

    People and cyclists are billboards elsewhere; here they get the box of their size.
    """
    key = zlib.crc32(repr((box.kind, round(box.length, 2), round(box.width, 2), round(box.height, 2), seed)).encode())
    rng = np.random.default_rng(key)
    if box.kind == "VEHICLE":
        return _large(box, rng) if box.length > _LONG_M or box.height > _HIGH_M else _car(box, rng)
    if "CONE" in box.kind:
        return _stacked(
            [
                (0.0, 0.06, 1.0, 1.0, (40, 40, 40)),
                (0.06, 0.5, 0.6, 0.35, (225, 90, 30)),
                (0.5, 0.7, 0.35, 0.25, (235, 235, 235)),
                (0.7, 1.0, 0.25, 0.1, (225, 90, 30)),
            ],
            box,
        )
    colour = [(225, 100, 60), (230, 228, 222), (150, 150, 148), (210, 170, 50)][rng.integers(4)]
    return _stacked([(0.0, 0.35, 1.0, 0.9, colour), (0.35, 1.0, 0.6, 0.45, colour)], box)


def _stacked(layers: list[tuple], box: Box) -> Quads:
    parts = [
        prism((box.length, box.width * low), (box.length, box.width * high), z0 * box.height, z1 * box.height, colour)
        for z0, z1, low, high, colour in layers
    ]
    return joined(parts)


def _car(box: Box, rng: np.random.Generator) -> Quads:
    length, width, height = box.length, box.width, box.height
    paint = np.clip(_PAINTS[rng.choice(len(_PAINTS), p=_SHARES)] * rng.normal(1, 0.05, 3), 0, 255)
    glass = np.array([38, 46, 54]) * rng.uniform(0.6, 1.6)
    belt = rng.uniform(0.52, 0.62) * height
    floor = 0.16 * height
    front, back = rng.uniform(0.12, 0.22) * length, rng.uniform(0.32, 0.47) * length
    parts = [prism((length * 0.97, width * 0.9), (length, width), floor * 0.6, belt * 0.6, paint * 0.75)]
    parts.append(prism((length, width), (length * 0.96, width * 0.95), belt * 0.6, belt, paint))
    is_pickup, is_tall = height > 1.72 and length > 5.15, height > 1.72 or rng.random() < 0.25
    if is_pickup:
        back = 0.05 * length
    elif is_tall:  # estates, off-roaders: the roof runs to the tail
        back = rng.uniform(0.45, 0.49) * length
    roof = 0.82 if is_tall else 0.62
    cabin = prism(
        (front + back, width * 0.92), (roof * (front + back), width * 0.74), belt, height, glass, (front - back) / 2
    )
    cabin[1][TOP] = paint * 1.02
    parts += [cabin, _decals(length, width, floor, belt, rng, 0.34)]
    return joined(parts)


def _large(box: Box, rng: np.random.Generator) -> Quads:
    paint = np.clip(_PAINTS[rng.choice(len(_PAINTS), p=_SHARES)] * rng.normal(1, 0.05, 3), 0, 255)
    low, high = _BUS_M
    if box.length <= _LONG_M and box.height < 2.9:
        parts, belt = buses.van(box, paint, rng), 0.5 * box.height
    elif low < box.length < high and rng.random() < (0.75 if box.length > 10.5 else 0.3):
        parts, belt = buses.bus(box, paint, rng), 0.35 * box.height
    else:
        parts, belt = lorries.lorry(box, paint, rng), 0.4 * box.height
    return joined([*parts, _decals(box.length, box.width, 0.3, belt, rng, 0.36 if box.length <= _LONG_M else 0.5)])


def _decals(length: float, width: float, floor: float, belt: float, rng: np.random.Generator, wheel_m: float) -> Quads:
    """Wheels, lamps, plates and mirrors: `DETAILS` quads."""
    faces, colours = [], []
    radius = min(wheel_m, belt * 0.5) * rng.uniform(0.9, 1.1)
    for x in (length * 0.31, -length * 0.29):
        for s in (-1, 1):
            for share, grey in ((1.0, 22), (0.55, 120)):
                r = radius * share
                for half in (
                    side(-r, r, -0.41 * r, 0.41 * r, 0, s),
                    side(-0.41 * r, 0.41 * r, -r, r, 0, s),
                    side(-0.72 * r, 0.72 * r, -0.72 * r, 0.72 * r, 0, s),
                ):
                    faces.append(half + np.array([x, s * width / 2 * 1.004, radius]))
                    colours.append((grey, grey, grey))
    low, high = belt * 0.62, belt * 0.85
    for which, colour in ((1, (240, 240, 225)), (-1, (150, 20, 20))):
        for s in (-1, 1):
            y0, y1 = sorted((s * width * 0.48, s * width * 0.32))
            faces.append(end(y0, y1, low, high, which * length / 2 * 1.004, which))
            colours.append(colour)
        faces.append(end(-0.26, 0.26, floor + 0.15, floor + 0.27, which * length / 2 * 1.004, which))
        colours.append((225, 225, 215))
    x, top = length / 2 - min(0.26 * length, 1.4), belt * 0.98 + 0.4 * wheel_m
    for s in (-1, 1):
        y0, y1 = sorted((s * width * 0.5, s * (width * 0.5 + 0.18)))
        for which in (1, -1):
            faces.append(end(y0, y1, belt * 0.98, top, x, which))
            colours.append((30, 32, 35))
    return np.array(faces), np.array(colours, float)
