# SPDX-License-Identifier: Apache-2.0
"""Lens and sensor: light level, exposure, white balance, vignette, blur, drops, noise, JPEG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.types import Camera
from mapkd_core.worlds import noise
from mapkd_core.worlds.appearance import Look
from mapkd_core.worlds.ground_view import inverse_depth
from mapkd_core.worlds.moment import STANDING, Moment
from mapkd_core.worlds.roadside import NOTHING_BESIDE, Roadside


class Lens:
    """One camera's lens and sensor in one world; its character is fixed, its noise is drawn per picture."""

    def __init__(self, look: Look, seed: int, index: int, beside: Roadside = NOTHING_BESIDE) -> None:
        self._look = look
        rng = np.random.default_rng([seed, 0x1E, index])
        shared = np.random.default_rng([seed, 0x1E])
        dark = {"night": 0.45, "dusk": 0.75}.get(look.light, 1.0)
        self._target = shared.uniform(78, 128) * rng.normal(1.0, 0.06) * dark  # mean grey the exposure aims at
        self._adapts = shared.uniform(0.4, 0.9)
        balance = np.array(look.ambient) * shared.normal(1.0, 0.025, 3) * rng.normal(1.0, 0.012, 3)
        self._colour = _saturation(shared.uniform(0.45, 1.0)) * balance[:, None]
        self._gamma = shared.uniform(0.85, 1.2)
        self._contrast = shared.uniform(0.9, 1.2)
        self._vignette = shared.uniform(0.0, 0.35)
        self._blur_px = shared.uniform(0.0, 1.0) ** 2 * 2.2  # at 1600 columns
        self._jpeg = int(shared.uniform(50, 96)) if shared.random() < 0.7 else 0
        self._noise = shared.uniform(0.5, 3.0) / dark**2
        self._veil = _smear(rng) if shared.random() < 0.2 else None
        self._drops = look.light == "rain" and shared.random() < 0.7
        self._drop_seed = int(rng.integers(1 << 31))

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
        out = cv2.transform(image.astype(np.float32), self._colour.astype(np.float32))
        out *= self._light(camera, map_T_camera)
        mean = max(float(cv2.mean(cv2.resize(out, (32, 32), interpolation=cv2.INTER_AREA))[1]), 2.0)
        out *= (self._target / mean) ** self._adapts
        if self._veil is not None:
            share = cv2.resize(self._veil, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
            out += (self._target - out) * share
        sigma = self._blur_px * width / 1600
        if sigma > 0.15:
            out = cv2.GaussianBlur(out, (0, 0), sigma)
        if self._drops:
            out = self._with_drops(out)
        grain = rng.standard_normal((height, width), np.float32) * (self._noise * min(1.0, 0.55 + width / 3200))
        out += grain[..., None]
        stored = cv2.LUT(np.clip(out, 0, 255).astype(np.uint8), self._curve())
        if self._jpeg:
            _, code = cv2.imencode(
                ".jpg", cv2.cvtColor(stored, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, self._jpeg]
            )
            stored = cv2.cvtColor(cv2.imdecode(code, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        return stored

    def _curve(self) -> NDArray[np.uint8]:
        x = np.arange(256) / 255.0
        y = x**self._gamma
        middle = self._target / 255
        y = (y - middle) * self._contrast + middle
        return np.clip(255 * y, 0, 255).astype(np.uint8)

    def _light(self, camera: Camera, map_T_camera: NDArray[np.float64]) -> NDArray[np.float32]:
        """H x W x 1 factor: vignette, and at night the headlights on the road ahead."""
        height, width = camera.height, camera.width
        step = 8
        u, v = np.meshgrid(np.arange(0, width + step, step), np.arange(0, height + step, step))
        radius = np.hypot((u - width / 2) / width, (v - height / 2) / width) * 2
        factor = 1.0 - self._vignette * radius**2 * 0.6
        if self._look.light == "night":
            factor = factor * self._headlights(camera, map_T_camera, u, v)
        small = factor.astype(np.float32)
        large = cv2.resize(small, (small.shape[1] * step, small.shape[0] * step), interpolation=cv2.INTER_LINEAR)
        return large[step // 2 - 1 :, step // 2 - 1 :][:height, :width, None]

    def _headlights(self, camera: Camera, map_T_camera: NDArray, u: NDArray, v: NDArray) -> NDArray:
        a, b, c = inverse_depth(camera.K, map_T_camera)
        depth = 1 / np.maximum(a * u + b * v + c, 1 / 80)
        rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(camera.K).T * depth[..., None]
        points = rays @ camera.ego_T_camera[:3, :3].T + camera.ego_T_camera[:3, 3]
        bearing = np.arctan2(points[..., 1], points[..., 0] - 1.0)
        reach = np.hypot(points[..., 0], points[..., 1])
        beam = np.exp(-((bearing / 0.45) ** 2)) * np.exp(-reach / 28) * (points[..., 0] > 2)
        return 0.9 + 3.5 * beam

    def _with_drops(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Water on the lens: smooth spots that show the scene blurred and shifted."""
        height, width = image.shape[:2]
        rng = np.random.default_rng(self._drop_seed)
        mask = np.zeros((height, width), np.float32)
        for _ in range(int(rng.integers(4, 30))):
            centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
            cv2.circle(mask, centre, max(1, int(width * rng.uniform(0.006, 0.035))), float(rng.uniform(0.4, 1.0)), -1)
        mask = cv2.GaussianBlur(mask, (0, 0), 0.004 * width)[..., None]
        soft = cv2.GaussianBlur(image, (0, 0), 0.02 * width)
        soft = np.roll(soft, int(0.02 * width), axis=1)
        return image + (soft - image) * mask


def _saturation(amount: float) -> NDArray[np.float64]:
    """3 x 3 colour matrix: 0 gives grey, 1 leaves colours alone."""
    grey = np.tile([0.30, 0.59, 0.11], (3, 1))
    return grey + amount * (np.eye(3) - grey)


def _smear(rng: np.random.Generator) -> NDArray[np.float32]:
    """Share of veil that a dirty glass lays over the picture, coarse."""
    return np.clip(0.15 * noise.smooth(rng, (36, 64), 24.0, 3), 0, 0.4)
