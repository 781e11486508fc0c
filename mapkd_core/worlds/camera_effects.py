# SPDX-License-Identifier: Apache-2.0
"""Lens and sensor: motion blur, lamps and glare, exposure, white balance, vignette, glass, blur, noise, JPEG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.types import Camera
from mapkd_core.worlds import motion_blur, weather
from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.exposure import Exposure
from mapkd_core.worlds.glare import Glare
from mapkd_core.worlds.glass import Glass
from mapkd_core.worlds.ground_view import inverse_depth
from mapkd_core.worlds.lights import Lights
from mapkd_core.worlds.moment import STANDING, Moment
from mapkd_core.worlds.roadside import NOTHING_BESIDE, Roadside

_STEP = 16  # pixels between samples of light, which varies slowly


class Lens:
    """One camera's lens and sensor in one world; its character is fixed, its noise is drawn per picture."""

    def __init__(self, look: Look, seed: int, index: int, beside: Roadside = NOTHING_BESIDE) -> None:
        self._look = look
        rng = np.random.default_rng([seed, 0x1E, index])
        shared = np.random.default_rng([seed, 0x1E])
        self.exposure = Exposure(look, shared, rng)
        self._curve = self.exposure.curve()
        self._lights = Lights(look, beside, seed)
        self._glare = Glare(look, beside, self._lights, rng)
        self._glass = Glass(look, rng)
        self._vignette = shared.uniform(0.0, 0.35)
        self._blur_px = shared.uniform(0.0, 1.0) ** 2 * 2.2  # at 1600 columns
        self._jpeg = int(shared.uniform(50, 96)) if shared.random() < 0.7 else 0
        dark = {"night": 0.45, "dusk": 0.75}.get(look.light, 1.0)
        self._noise = shared.uniform(0.5, 3.0) / dark**2

    def apply(
        self,
        image: NDArray[np.uint8],
        camera: Camera,
        map_T_camera: NDArray[np.float64],
        rng: np.random.Generator,
        moment: Moment = STANDING,
    ) -> NDArray[np.uint8]:
        """H W 3 RGB as this camera would have stored it."""
        height, width = image.shape[:2]
        exposure = self.exposure
        image = motion_blur.blur(image, camera, map_T_camera, moment, exposure.time_s)
        out = cv2.transform(image.astype(np.float32), exposure.colours(moment.time_s))
        out *= self._light(camera, map_T_camera, moment)
        gain = exposure.gain(out, moment.time_s)
        out *= gain
        if self._look.wet:
            weather.spray(out, camera.K, map_T_camera, moment, self._look.wet, 0.9 * exposure.target)
        self._glare.add(out, camera, map_T_camera, moment, 255.0)
        out = self._glass.apply(out, exposure.target)
        sigma = self._blur_px * width / 1600
        if sigma > 0.15:
            out = cv2.GaussianBlur(out, (0, 0), sigma)
        grain = rng.standard_normal((height, width), np.float32) * (self._noise * min(1.0, 0.55 + width / 3200))
        out += grain[..., None]
        stored = cv2.LUT(np.clip(out, 0, 255).astype(np.uint8), self._curve)
        return _compressed(stored, self._jpeg) if self._jpeg else stored

    def _light(self, camera: Camera, map_T_camera: NDArray[np.float64], moment: Moment) -> NDArray[np.float32]:
        """H x W x 1 or 3 factor: vignette, and in the dark what lamps add to the ground."""
        height, width = camera.height, camera.width
        u, v = np.meshgrid(np.arange(0, width + _STEP, _STEP), np.arange(0, height + _STEP, _STEP))
        radius = np.hypot((u - width / 2) / width, (v - height / 2) / width) * 2
        factor = 1.0 - self._vignette * radius**2 * 0.6
        if self._look.light in ("night", "dusk"):
            factor = factor[..., None] * self._lamplight(camera, map_T_camera, u, v, moment)
        small = factor.astype(np.float32)
        size = (small.shape[1] * _STEP, small.shape[0] * _STEP)
        large = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
        large = large[_STEP // 2 - 1 :, _STEP // 2 - 1 :][:height, :width]
        return large if large.ndim == 3 else large[..., None]

    def _lamplight(
        self,
        camera: Camera,
        map_T_camera: NDArray[np.float64],
        u: NDArray[np.float64],
        v: NDArray[np.float64],
        moment: Moment,
    ) -> NDArray[np.float64]:
        """... x 3 factor of the ground at pixels u, v: own headlights, street lamps, other vehicles' beams."""
        a, b, c = inverse_depth(camera.K, map_T_camera)
        depth = 1 / np.maximum(a * u + b * v + c, 1 / 80)
        rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(camera.K).T * depth[..., None]
        points = rays @ camera.ego_T_camera[:3, :3].T + camera.ego_T_camera[:3, 3]
        bearing = np.arctan2(points[..., 1], points[..., 0] - 1.0)
        reach = np.hypot(points[..., 0], points[..., 1])
        beam = np.exp(-((bearing / 0.45) ** 2)) * np.exp(-reach / 28) * (points[..., 0] > 2)
        in_map = rays @ map_T_camera[:3, :3].T + map_T_camera[:3, 3]
        others = self._lights.on_ground(in_map[..., :2], moment) * np.exp(-reach / 60)[..., None]
        own = 3.5 * beam[..., None] * np.array([1.0, 0.97, 0.88])
        return 0.9 + (own + others) * (1.0 if self._look.light == "night" else 0.35)


def _compressed(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    _, code = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.cvtColor(cv2.imdecode(code, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
