# SPDX-License-Identifier: Apache-2.0
"""Seeded textures of upright things: facades, hedges, fences, trees, people. RGB with an alpha that is 0 or 255."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds import noise

Levels = tuple[tuple[NDArray[np.uint8], NDArray[np.uint8] | None], ...]  # RGB and opacity (None: solid), finest first

FACADE_M = (12.0, 12.0)  # length and height that one facade texture covers
_FACADE_PX = (384, 384)


def levels(texture: NDArray[np.uint8]) -> Levels:
    """RGBA texture and its halvings down to 8 pixels, colours and opacity apart."""
    out = [texture]
    while min(out[-1].shape[:2]) >= 16:
        h, w = out[-1].shape[:2]
        out.append(cv2.resize(out[-1], (w // 2, h // 2), interpolation=cv2.INTER_AREA))
    solid = bool((texture[..., 3] == 255).all())
    return tuple((t[..., :3].copy(), None if solid else t[..., 3].copy()) for t in out)


def leaf_colour(rng: np.random.Generator) -> NDArray[np.float64]:
    """RGB of foliage: mostly green, now and then autumn."""
    ratio = rng.normal((0.86, 1.0, 0.58), (0.09, 0.0, 0.1))
    if rng.random() < 0.12:
        ratio = rng.normal((1.35, 1.0, 0.55), (0.15, 0.0, 0.08))
    return rng.uniform(45, 115) * ratio


def facade(rng: np.random.Generator, ground_floor: bool) -> NDArray[np.uint8]:
    """H W 4, row 0 at the top: wall, rows of windows, and a ground floor of shops, doors, columns or bare wall."""
    height, width = _FACADE_PX
    wall = rng.uniform(45, 215) * rng.normal(1, 0.07, 3) * (1.0, 0.98, 0.94)
    image = np.ones((height, width, 3)) * wall
    glass = rng.uniform(15, 110) * np.array([0.9, 1.0, 1.08])
    frame = np.clip(wall * rng.uniform(0.6, 1.4), 0, 255)
    px = height / FACADE_M[1]
    storey = rng.uniform(2.8, 3.8) * px
    bays = int(rng.integers(2, 9))
    tops = np.arange(height - storey, -storey, -storey)
    for level, top in enumerate(tops):
        is_shop = ground_floor and level == 0
        kind = rng.integers(4) if is_shop else 4
        if kind == 0:
            continue
        margin = rng.uniform(0.02, 0.1) if is_shop else rng.uniform(0.08, 0.3)
        for bay in range(bays):
            if rng.random() < (0.25 if is_shop else 0.05):
                continue
            x0, x1 = ((bay + margin) * width / bays, (bay + 1 - margin) * width / bays)
            y0, y1 = top + storey * rng.uniform(0.1, 0.2), top + storey * (0.98 if is_shop else 0.72)
            pane = glass * rng.uniform(0.5, 1.6)
            cv2.rectangle(image, (int(x0) - 2, int(y0) - 2), (int(x1) + 2, int(y1) + 2), frame.tolist(), -1)
            cv2.rectangle(image, (int(x0), int(y0)), (int(x1), int(y1)), pane.tolist(), -1)
        if is_shop and rng.random() < 0.5:
            sign = rng.uniform(30, 230, 3).tolist()
            cv2.rectangle(image, (0, int(top)), (width, int(top + 0.14 * storey)), sign, -1)
    image *= 1 + 0.05 * noise.smooth(rng, (height, width), 60.0, 4)[..., None]
    return _with_alpha(image, np.full((height, width), 255, np.uint8))


def hedge(rng: np.random.Generator) -> NDArray[np.uint8]:
    """H W 4: leaves with a ragged upper edge."""
    height, width = 64, 256
    green = leaf_colour(rng)
    leaves = noise.smooth(rng, (height, width), 10.0, 3, 0.8)
    image = green * (1 + 0.32 * leaves[..., None]) * np.linspace(1.15, 0.55, height)[:, None, None]
    edge = 6 + 4 * noise.smooth(rng, (1, width), 24.0, 4, 0.7)[0]
    alpha = (np.arange(height)[:, None] > edge).astype(np.uint8) * 255
    return _with_alpha(image, alpha)


def fence(rng: np.random.Generator) -> NDArray[np.uint8]:
    """H W 4: railing, boards or wire."""
    height, width = 64, 256
    image = np.ones((height, width, 3)) * rng.uniform(40, 220) * rng.normal(1, 0.05, 3)
    alpha = np.zeros((height, width), np.uint8)
    pitch, bar = int(rng.choice([8, 16, 32])), int(rng.integers(2, 5))
    for x in range(0, width, pitch):
        alpha[:, x : x + bar] = 255
    for y in rng.choice(height - 8, int(rng.integers(1, 4)), replace=False):
        alpha[y : y + 6] = 255
    if rng.random() < 0.3:
        alpha[:] = 255
    image *= 1 + 0.1 * noise.smooth(rng, (height, width), 12.0, 2)[..., None]
    return _with_alpha(image, alpha)


def tree(rng: np.random.Generator) -> NDArray[np.uint8]:
    """H W 4: a trunk with a crown that lets the sky through."""
    height, width = 192, 128
    crown_low = rng.uniform(0.45, 0.75) * height
    v, u = np.mgrid[:height, :width].astype(np.float32)
    blobs = noise.smooth(rng, (height, width), 36.0, 5, 0.75)
    radius = np.hypot((u - width / 2) / (width * 0.44), (v - crown_low / 2) / (crown_low * 0.5))
    crown = radius + 0.22 * blobs < 0.86
    holes = noise.smooth(rng, (height, width), 10.0, 2) > 1.5
    crown &= ~holes
    green = leaf_colour(rng)
    light = 1.25 - 0.6 * v / crown_low + 0.25 * noise.smooth(rng, (height, width), 12.0, 3, 0.8)
    image = green * np.clip(light, 0.25, 1.7)[..., None]
    half = rng.uniform(1.5, 4.0) + 1.5 * (v / height)
    trunk = (np.abs(u - width / 2 - 2 * np.sin(v / 30)) < half) & (v > crown_low * 0.6)
    bark = rng.uniform(45, 110) * np.array([1.0, 0.9, 0.78])
    image = np.where((trunk & ~crown)[..., None], bark * (1 + 0.12 * blobs[..., None]), image)
    return _with_alpha(image, ((crown | trunk) * 255).astype(np.uint8))


def person(rng: np.random.Generator) -> NDArray[np.uint8]:
    """H W 4: head, torso, two legs."""
    height, width = 96, 40
    image, alpha = np.zeros((height, width, 3)), np.zeros((height, width), np.uint8)
    skin = rng.uniform((90, 60, 45), (225, 180, 150)).tolist()
    top = (rng.uniform(20, 220) + rng.normal(0, 28, 3)).clip(5, 240).tolist()
    legs = (rng.uniform(15, 140) * rng.normal(1, 0.1, 3)).tolist()
    stride = int(rng.integers(0, 8))
    for target, colours in ((image, (legs, top, skin)), (alpha, (255, 255, 255))):
        for side in (-1, 1):
            cv2.line(target, (20 + side * 3, 50), (20 + side * (3 + stride), 95), colours[0], 7)
            cv2.line(target, (20 + side * 8, 20), (20 + side * (10 + stride // 2), 50), colours[1], 5)
        cv2.rectangle(target, (11, 17), (29, 52), colours[1], -1)
        cv2.ellipse(target, (20, 9), (6, 8), 0, 0, 360, colours[2], -1)
    image *= np.linspace(1.1, 0.8, height)[:, None, None]
    return _with_alpha(image, alpha)


def post(rng: np.random.Generator, kind: str) -> NDArray[np.uint8]:
    """H W 4: a lamp post, a sign on a pole or a bollard."""
    height, width = 192, 64
    image = np.ones((height, width, 3)) * rng.uniform(60, 200) * rng.normal(1, 0.04, 3)
    alpha = np.zeros((height, width), np.uint8)
    if kind == "bollard":
        alpha[:, 16:48] = 255
        image[int(rng.integers(20, 90)) :][:30] = rng.uniform(120, 240, 3)
    else:
        cv2.line(alpha, (32, 0), (32, height), 255, 2 if kind == "lamp" else 4)
    if kind == "lamp":
        cv2.line(alpha, (32, 4), (60, 2), 255, 3)
    if kind == "sign":
        colour = [(190, 30, 30), (30, 60, 160), (230, 230, 225), (220, 180, 40), (40, 120, 60)][rng.integers(5)]
        shape = rng.integers(3)
        for target, value in ((image, colour), (alpha, 255)):
            if shape == 0:
                cv2.circle(target, (32, 30), 28, value, -1)
            else:
                cv2.rectangle(target, (6, 2), (58, 58 if shape == 1 else 76), value, -1)
        cv2.rectangle(image, (18, 22), (46, 36), (235, 235, 235), -1)
    return _with_alpha(image, alpha)


def _with_alpha(image: NDArray, alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.dstack([np.clip(image, 0, 255).astype(np.uint8), alpha])
