# SPDX-License-Identifier: Apache-2.0
"""Road users as coloured quads: bodies of a few boxes with windows, wheels and lights drawn onto them."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.drive import Box

Quads = tuple[NDArray[np.float64], NDArray[np.float64]]  # Q x 4 x 3 corners in the box frame (z from 0), Q x 3 RGB

DETAILS = 30  # the last quads of a vehicle: wheels, lamps, plates
_FACES = np.array(
    [[0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7], [4, 5, 6, 7]]
)  # right, front, left, back, top
_NEUTRAL = ((232, 232, 230), (200, 202, 204), (150, 152, 155), (90, 92, 96), (35, 36, 38), (22, 22, 24))
_BRIGHT = ((140, 24, 26), (30, 55, 120), (70, 110, 160), (200, 160, 40), (40, 90, 55), (120, 85, 60), (225, 215, 190))
_PAINTS = np.array([*_NEUTRAL, *_BRIGHT], float)
_SHARES = np.array([5, 4, 3, 2, 3, 3, 1, 1, 1, 1, 0.5, 0.5, 1]) / 26


def quads(box: Box, seed: int) -> Quads:
    """Quads of one road user, counter-clockwise seen from outside, in drawing order; the look depends on size and seed.

    People and cyclists are billboards elsewhere; here they get the box of their size.
    """
    key = zlib.crc32(repr((box.kind, round(box.length, 2), round(box.width, 2), round(box.height, 2), seed)).encode())
    rng = np.random.default_rng(key)
    if box.kind == "VEHICLE":
        return _truck(box, rng) if box.length > 6.2 or box.height > 2.3 else _car(box, rng)
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
        _prism((box.length, box.width * low), (box.length, box.width * high), z0 * box.height, z1 * box.height, colour)
        for z0, z1, low, high, colour in layers
    ]
    return _joined(parts)


def _car(box: Box, rng: np.random.Generator) -> Quads:
    length, width, height = box.length, box.width, box.height
    paint = np.clip(_PAINTS[rng.choice(len(_PAINTS), p=_SHARES)] * rng.normal(1, 0.05, 3), 0, 255)
    glass = np.array([38, 46, 54]) * rng.uniform(0.6, 1.6)
    belt = rng.uniform(0.52, 0.62) * height
    floor = 0.16 * height
    front, back = rng.uniform(0.12, 0.22) * length, rng.uniform(0.32, 0.47) * length
    parts = [_prism((length * 0.97, width * 0.9), (length, width), floor * 0.6, belt * 0.6, paint * 0.75)]
    parts.append(_prism((length, width), (length * 0.96, width * 0.95), belt * 0.6, belt, paint))
    cabin = _prism(
        (front + back, width * 0.92), (0.62 * (front + back), width * 0.74), belt, height, glass, (front - back) / 2
    )
    cabin[1][4] = paint * 1.02
    parts += [cabin, _decals(length, width, floor, belt, rng)]
    return _joined(parts)


def _truck(box: Box, rng: np.random.Generator) -> Quads:
    length, width, height = box.length, box.width, box.height
    paint = np.clip(_PAINTS[rng.choice(len(_PAINTS), p=_SHARES)] * rng.normal(1, 0.05, 3), 0, 255)
    is_bus = rng.random() < 0.4
    cab = length if is_bus else rng.uniform(0.2, 0.32) * length
    parts = [_prism((length * 0.98, width * 0.8), (length * 0.98, width * 0.8), 0.3, 0.28 * height, (45, 45, 46))]
    if not is_bus:
        load = paint if rng.random() < 0.4 else _PAINTS[rng.integers(4)]
        parts.append(
            _prism(
                (length - cab - 0.3, width), (length - cab - 0.3, width), 0.26 * height, height, load, -cab / 2 - 0.15
            )
        )
    tall = height if is_bus else rng.uniform(0.7, 0.95) * height
    parts.append(_prism((cab, width), (cab * 0.96, width * 0.97), 0.14 * height, tall, paint, (length - cab) / 2))
    glass, x1 = np.array([40, 48, 56]), length / 2
    low, high = 0.5 * tall, 0.85 * tall
    faces = [_side(x1 - cab * 0.9, x1 - 0.3, low, high, side * width / 2 * 1.005, side) for side in (-1, 1)]
    faces.append(_end(-width * 0.45, width * 0.45, low, high, x1 * 1.003, 1))
    parts.append((np.array(faces), np.tile(glass, (3, 1))))
    parts.append(_decals(length, width, 0.3, 0.45 * height, rng))
    return _joined(parts)


def _decals(length: float, width: float, floor: float, belt: float, rng: np.random.Generator) -> Quads:
    """Wheels, lamps and plates."""
    faces, colours = [], []
    radius = min(0.34, belt * 0.5) * rng.uniform(0.9, 1.1)
    for x in (length * 0.31, -length * 0.29):
        for side in (-1, 1):
            for share, grey in ((1.0, 22), (0.55, 120)):
                r = radius * share
                for half in (
                    _side(-r, r, -0.41 * r, 0.41 * r, 0, side),
                    _side(-0.41 * r, 0.41 * r, -r, r, 0, side),
                    _side(-0.72 * r, 0.72 * r, -0.72 * r, 0.72 * r, 0, side),
                ):
                    faces.append(half + np.array([x, side * width / 2 * 1.004, radius]))
                    colours.append((grey, grey, grey))
    low, high = belt * 0.62, belt * 0.85
    for end, colour in ((1, (240, 240, 225)), (-1, (150, 20, 20))):
        for side in (-1, 1):
            y = sorted((side * width * 0.48, side * width * 0.32))
            faces.append(_end(*y, low, high, end * length / 2 * 1.004, end))
            colours.append(colour)
        faces.append(_end(-0.26, 0.26, floor + 0.15, floor + 0.27, end * length / 2 * 1.004, end))
        colours.append((225, 225, 215))
    return np.array(faces), np.array(colours, float)


def _prism(
    low: tuple[float, float], high: tuple[float, float], z0: float, z1: float, colour: object, shift: float = 0.0
) -> Quads:
    """Sides and top of a box whose lower and upper rectangles (length, width) may differ."""
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    bottom = np.column_stack([signs * low, np.full(4, z0)])
    top = np.column_stack([signs * high, np.full(4, z1)])
    corners = np.concatenate([bottom, top]) + np.array([shift, 0.0, 0.0])
    return corners[_FACES], np.tile(np.asarray(colour, float), (5, 1))


def _side(x0: float, x1: float, z0: float, z1: float, y: float, side: int) -> NDArray[np.float64]:
    quad = np.array([[x0, y, z0], [x1, y, z0], [x1, y, z1], [x0, y, z1]])
    return quad if side < 0 else quad[::-1]


def _end(y0: float, y1: float, z0: float, z1: float, x: float, end: int) -> NDArray[np.float64]:
    quad = np.array([[x, y0, z0], [x, y1, z0], [x, y1, z1], [x, y0, z1]])
    return quad if end > 0 else quad[::-1]


def _joined(parts: list[Quads]) -> Quads:
    return np.concatenate([p[0] for p in parts]), np.concatenate([np.asarray(p[1], float) for p in parts])
