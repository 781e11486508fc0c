# SPDX-License-Identifier: Apache-2.0
"""What lies behind everything: sky, clouds and the far skyline, as a panorama around the vehicle."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds import noise
from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.sprites import leaf_colour

_WIDTH, _HEIGHT = 2048, 384  # 360 degrees x elevations from -6 degrees to +60
_LOW, _HIGH = np.radians(-6.0), np.radians(60.0)
_SKY = {
    "sun": ((88, 132, 190), (196, 212, 226)),
    "low_sun": ((110, 140, 185), (250, 222, 180)),
    "overcast": ((182, 188, 196), (216, 219, 222)),
    "rain": ((140, 147, 156), (185, 189, 194)),
    "dusk": ((52, 58, 92), (168, 128, 112)),
    "night": ((6, 7, 12), (30, 28, 30)),
}


class Backdrop:
    """Sky panorama of one world; `draw` fills a picture with it."""

    def __init__(self, look: Look, seed: int) -> None:
        rng = np.random.default_rng([seed, 0x5C])
        self._panorama = _panorama(look, rng)

    def draw(self, K: NDArray[np.float64], map_R_camera: NDArray[np.float64], width: int, height: int) -> NDArray:
        """height x width x 3 RGB: the panorama through a pinhole with that orientation."""
        step = 4
        picture = np.zeros((height, width, 3), np.uint8)
        us, vs = np.arange(0, width + step, step), np.arange(0, height + step, step)
        u, v = np.meshgrid(us, vs)
        rays = np.stack([u, v, np.ones_like(u)], -1) @ (map_R_camera @ np.linalg.inv(K)).T
        elevation = np.arctan2(rays[..., 2], np.hypot(rays[..., 0], rays[..., 1]))
        seen = np.nonzero((elevation > _LOW).any(axis=1))[0]
        if not len(seen):
            return picture
        # The ground covers the rows below; above them x and y vary slowly, so a coarse grid is enough.
        last = min(int(seen[-1]) + 2, len(vs))
        rays, elevation = rays[:last], elevation[:last]
        azimuth = np.unwrap(np.arctan2(rays[..., 1], rays[..., 0]), axis=1)
        azimuth -= 2 * np.pi * np.floor(azimuth[:, :1] / (2 * np.pi))
        x = (azimuth / (2 * np.pi) * _WIDTH).astype(np.float32)
        y = ((elevation - _LOW) / (_HIGH - _LOW) * _HEIGHT).astype(np.float32)
        size = (len(us) * step, last * step)
        shift = (step - 1) // 2  # resize puts coarse sample i at pixel step * i + (step - 1) / 2
        rows = min(height, last * step - step)
        x, y = (
            np.ascontiguousarray(
                cv2.resize(m, size, interpolation=cv2.INTER_LINEAR)[shift : shift + rows, shift : shift + width]
            )
            for m in (x, y)
        )
        x -= _WIDTH * np.floor(x * np.float32(1 / _WIDTH))
        wrapped = cv2.remap(self._panorama, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        picture[:rows] = wrapped
        return picture


def _panorama(look: Look, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Rows run upwards from the lowest elevation."""
    zenith, horizon = (np.array(c) * rng.normal(1, 0.06) for c in _SKY[look.light])
    share = np.linspace(-0.1, 1.0, _HEIGHT).clip(0, 1)[:, None, None] ** 0.6
    sky = horizon + (zenith - horizon) * share + np.zeros((1, _WIDTH, 1))
    cover = rng.uniform(-0.8, 1.0)
    clouds = noise.smooth(rng, (_HEIGHT, _WIDTH // 2), 90.0, 5, 0.6)
    clouds = np.concatenate([clouds, clouds[:, ::-1]], axis=1)
    density = np.clip((clouds + cover) * 0.5, 0, 1)[..., None]
    # Clouds that the sun lights are the brightest things in a picture: cameras burn them out.
    bright = np.minimum(horizon * (rng.uniform(1.1, 1.35) if look.light in ("sun", "low_sun") else 1.12), 255)
    sky += (bright - sky) * density * (0.9 if look.light in ("sun", "low_sun", "dusk") else 0.3)
    for layer in range(3):
        sky = _skyline(sky, look, layer, rng)
    return np.clip(sky, 0, 255).astype(np.uint8)


def _skyline(sky: NDArray, look: Look, layer: int, rng: np.random.Generator) -> NDArray:
    """Far trees and buildings, nearer layers lower and darker."""
    dim = {"night": 0.12, "dusk": 0.4}.get(look.light, 1.0)
    rows = np.arange(_HEIGHT)[:, None]
    per_degree = _HEIGHT / 66.0
    bumps = noise.smooth(rng, (1, _WIDTH), 110.0, 6, 0.72)[0]
    trees = (6.0 + rng.uniform(1.5, 5.0) - layer * 0.8 + (1.0 - 0.2 * layer) * bumps) * per_degree
    blocks = np.repeat(rng.gamma(1.2, 4.0, _WIDTH // 32) * (rng.random(_WIDTH // 32) < look.buildings * 0.7), 32)
    tops = np.maximum(trees, (6.0 + np.roll(blocks, int(rng.integers(_WIDTH)))) * per_degree * (1 - 0.15 * layer))
    is_tree = tops <= trees
    shade = noise.smooth(rng, (_HEIGHT, _WIDTH), 14.0, 4, 0.8)[..., None]
    green = 0.85 * leaf_colour(rng) * dim
    wall = np.repeat(
        rng.uniform(80, 190, (_WIDTH // 32, 3)) * (0.3, 0.3, 0.3) + rng.uniform(40, 150, (_WIDTH // 32, 1)), 32, 0
    )
    colour = np.where(is_tree[:, None], green, wall * dim)[None] * (1 + 0.22 * shade)
    fade = (0.6, 0.35, 0.15)[layer]
    colour = colour + (np.array(look.haze) - colour) * fade
    return np.where((rows < tops)[..., None], colour, sky)
