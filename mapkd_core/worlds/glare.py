# SPDX-License-Identifier: Apache-2.0
"""Glare: what bright sources do in a lens: the sun's veil, bloom and streaks, and halos of lamps in the dark."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.types import Camera
from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.lights import Lights, open_to
from mapkd_core.worlds.moment import Moment
from mapkd_core.worlds.roadside import Roadside

_SUN_M = 100.0  # away, for what stands before it
_BESIDE = 0.3  # of the picture's width: a sun this far outside still veils
_COARSE = 4


class Glare:
    """Scattered light in one camera. shared: the rig's lenses are of one make; rng: each is as clean as it is."""

    def __init__(self, look: Look, beside: Roadside, lights: Lights, rng: np.random.Generator) -> None:
        self._look, self._beside, self._lights = look, beside, lights
        self._sun = np.array(look.sun_direction)
        strength = {"low_sun": 1.0, "sun": 0.6}.get(look.light, 0.0)
        self._strength = strength * rng.uniform(0.5, 1.3)
        self._streak_angle, self._streak = rng.uniform(-0.6, 0.6) + np.pi / 2, rng.uniform(0.0, 0.7)
        self._spikes, self._spike_phase = int(rng.integers(5, 10)), rng.uniform(0, np.pi)
        self._haloed = {"night": 1.0, "dusk": 0.6, "rain": 0.45}.get(look.light, 0.0)
        self._spread = rng.uniform(0.005, 0.015)  # of the picture's width: size of halos

    def add(
        self, image: NDArray[np.float32], camera: Camera, map_T_camera: NDArray[np.float64], moment: Moment, full: float
    ) -> None:
        """Add scattered light to `image` (H W 3, changed in place); full: the value that is just burnt out."""
        if self._strength:
            self._add_sun(image, camera, map_T_camera, moment, full)
        if self._haloed:
            self._add_lamps(image, camera, map_T_camera, moment, full)

    def _add_sun(
        self, image: NDArray[np.float32], camera: Camera, map_T_camera: NDArray[np.float64], moment: Moment, full: float
    ) -> None:
        height, width = image.shape[:2]
        eye = map_T_camera[:3, 3]
        ray = camera.K @ (map_T_camera[:3, :3].T @ self._sun)
        if ray[2] < 0.2:
            return
        u, v = ray[:2] / ray[2]
        outside = np.hypot(max(-u, u - width, 0.0), max(-v, v - height, 0.0)) / width
        if outside > _BESIDE or not open_to(eye, (eye + _SUN_M * self._sun)[None], self._beside, moment)[0]:
            return
        step = max(_COARSE, width // 120)
        x, y = np.meshgrid(np.arange(0, width, step) - u, np.arange(0, height, step) - v)
        r = np.hypot(x, y) / width
        angle = np.arctan2(y, x)
        rays = 1 + 0.35 * np.cos(self._spikes * angle + self._spike_phase)
        streak = self._streak * np.exp(-np.abs(np.sin(angle - self._streak_angle)) / 0.05 - r / 0.35)
        light = 0.18 + 0.5 * np.exp(-r / 0.16) * rays + 1.6 * np.exp(-((r / 0.045) ** 2)) + streak
        light *= self._strength * full * (1 - outside / _BESIDE) ** 2
        warm = np.array([1.0, 0.94, 0.82] if self._look.light == "low_sun" else [1.0, 0.99, 0.95])
        image += cv2.resize((light[..., None] * warm).astype(np.float32), (width, height))

    def _add_lamps(
        self, image: NDArray[np.float32], camera: Camera, map_T_camera: NDArray[np.float64], moment: Moment, full: float
    ) -> None:
        height, width = image.shape[:2]
        place, colour, power = self._lights.sources(moment, map_T_camera)
        points = (place - map_T_camera[:3, 3]) @ map_T_camera[:3, :3]
        ahead = np.flatnonzero(points[:, 2] > 1.0)
        uv = points[ahead] @ camera.K.T
        uv = uv[:, :2] / uv[:, 2:]
        inside = ahead[((uv > -0.04 * width) & (uv < np.array([width, height]) + 0.04 * width)).all(axis=1)]
        if not len(inside):
            return
        inside = inside[open_to(map_T_camera[:3, 3], place[inside], self._beside, moment)]
        for i in inside[np.argsort(-points[inside, 2])][-16:]:
            x, y, depth = points[i].tolist()
            at = (camera.K[0, 0] * x / depth + camera.K[0, 2], camera.K[1, 1] * y / depth + camera.K[1, 2])
            core = max(0.09 * camera.K[0, 0] / depth, 0.0018 * width)
            _add_halo(image, at, core, self._spread * width, self._haloed * full * float(power[i]), depth, colour[i])


def _add_halo(
    image: NDArray[np.float32],
    at: tuple[float, float],
    core: float,
    spread: float,
    strength: float,
    depth: float,
    colour: NDArray[np.float64],
) -> None:
    """A burnt-out core `core` pixels wide in a halo that falls off over `spread` pixels."""
    height, width = image.shape[:2]
    reach = 3 * core + 5 * spread
    x0, x1 = max(int(at[0] - reach), 0), min(int(at[0] + reach) + 1, width)
    y0, y1 = max(int(at[1] - reach), 0), min(int(at[1] + reach) + 1, height)
    if x0 >= x1 or y0 >= y1:
        return
    x, y = np.arange(x0, x1) - at[0], np.arange(y0, y1)[:, None] - at[1]
    r2 = x * x + y * y
    near = min(1.0, 18.0 / depth)
    halo = 1.1 * strength * near / (1 + r2 / spread**2) ** 1.5 * np.clip(1.2 - r2 / reach**2 * 1.2, 0, 1)
    shine = np.exp(-r2 / (2 * core**2)) * (0.7 * strength**0.3 * 255**0.7)
    light = halo[..., None] * colour + shine[..., None] * (0.55 * colour + 0.45)
    image[y0:y1, x0:x1] += light.astype(np.float32)
