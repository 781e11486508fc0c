# SPDX-License-Identifier: Apache-2.0
"""Each corruption does what its table says, more with each severity, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.robustness import pictures
from mapkd_core.robustness.conditions import PICTURES


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """96 x 256: sky, road, a line, and grain in all."""
    image = np.full((96, 256, 3), 90, np.uint8)
    image[:32] = (150, 180, 230)
    image[40:, 120:126] = 240
    return (image + np.random.default_rng(0).integers(0, 12, image.shape)).astype(np.uint8)


@pytest.mark.parametrize("change", PICTURES, ids=lambda f: f.__name__)
def test_form_seed_and_order_of_severities(change, scene):
    before = scene.copy()
    spoilt = [change(scene, s, np.random.default_rng(7)) for s in (1, 2, 3)]
    assert all(image.shape == scene.shape and image.dtype == np.uint8 for image in spoilt)
    assert np.array_equal(spoilt[1], change(scene, 2, np.random.default_rng(7))) and np.array_equal(scene, before)
    away = [np.abs(image.astype(float) - scene).mean() for image in spoilt]
    assert 0.5 < away[0] < away[1] < away[2]


def test_exposures_are_stops_of_light(scene):
    """Grey 100 is 0.1275 of white in linear light: doubled it is 0.255, stored as 137; halved twice 53."""
    grey = np.full((64, 64, 3), 100, np.uint8)
    assert abs(int(pictures.overexposed(grey, 1, np.random.default_rng(0))[0, 0, 0]) - 137) <= 1
    assert abs(pictures.dark(grey, 1, np.random.default_rng(0)).mean() - 53) < 2
    assert (pictures.overexposed(np.full((4, 4, 3), 200, np.uint8), 1, np.random.default_rng(0)) == 255).all()


def test_dark_pictures_are_noisy():
    """Grey 100, four stops down: 47.8 electrons of 6000, noise sqrt(47.8 + 64), a relative 0.22 of light."""
    dark = pictures.dark(np.full((64, 64, 3), 100, np.uint8), 3, np.random.default_rng(0)).astype(float)
    light = (dark / 255) ** 2.2 * 6000
    assert 9 < light.std() < 12


@pytest.mark.parametrize("severity", [1, 2, 3])
def test_dirt_hides_its_share(severity):
    image = np.full((120, 320, 3), 200, np.uint8)
    hidden = (np.abs(pictures.lens_dirt(image, severity, np.random.default_rng(1)).astype(int) - 200) > 60).mean()
    wanted = pictures.DIRT_SHARE[severity - 1]
    assert 0.7 * wanted < hidden < 1.5 * wanted + 0.02
