# SPDX-License-Identifier: Apache-2.0
"""Look: everything about a world that a seed decides and a road map does not say, from the light to the paint."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mapkd_core.worlds.upkeep import Upkeep, draw_upkeep

Colour = tuple[float, float, float]  # RGB 0..255

_LIGHTS = ("sun", "overcast", "low_sun", "rain", "dusk", "night")
_LIGHT_SHARES = (0.44, 0.21, 0.11, 0.10, 0.06, 0.08)


@dataclass(frozen=True)
class Look:
    """Appearance of one world.

    light: one of sun, overcast, low_sun, rain, dusk, night. sun_direction: unit vector towards the sun, map frame.
    sun: 0..1 strength of direct light. ambient: RGB gains of the scene before exposure.
    visibility_m: distance at which haze has taken 63 %. wet: 0..1 mirror of the road.
    kerb: plain, black_white, painted or flush; wear: 0 fresh paint .. 1 nearly gone.
    """

    light: str
    sun_direction: tuple[float, float, float]
    sun: float
    ambient: Colour
    haze: Colour
    visibility_m: float
    wet: float
    asphalt: Colour
    asphalt_grain: float
    stains: float
    pavement: Colour
    grass: Colour
    soil: Colour
    white: Colour
    yellow: Colour
    wear: float
    line_width_m: float
    dash_m: tuple[float, float]
    yellow_centre: bool
    edge_line: str
    crossing: str
    kerb: str
    kerb_height_m: float
    kerb_colour: Colour
    pavement_m: float
    greenery: float
    buildings: float
    upkeep: Upkeep = field(default_factory=Upkeep)


def draw_look(seed: int) -> Look:
    """The look of world `seed`: the same seed always gives the same look."""
    rng = np.random.default_rng([seed, 0x1004])
    light = str(rng.choice(_LIGHTS, p=_LIGHT_SHARES))
    return Look(
        light=light, **_light(rng, light), **_surfaces(rng), **_paint(rng), **_roadside(rng), upkeep=draw_upkeep(seed)
    )


def _light(rng: np.random.Generator, light: str) -> dict:
    elevation = np.radians(rng.uniform(4, 17) if light == "low_sun" else rng.uniform(28, 80))
    azimuth = rng.uniform(0, 2 * np.pi)
    direction = (np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation))
    sun = {"sun": rng.uniform(0.5, 0.8), "low_sun": rng.uniform(0.4, 0.7)}.get(light, 0.0)
    tints = {"low_sun": (1.05, 1.0, 0.91), "dusk": (0.58, 0.57, 0.61), "night": (0.36, 0.33, 0.32)}
    ambient = np.array(tints.get(light, (1.0, 1.0, 1.0))) * rng.normal(1, 0.03, 3)
    grey = {"dusk": 110.0, "night": 22.0}.get(light, rng.uniform(190, 235))
    haze = np.clip(grey * np.array([0.98, 1.0, 1.03]) * rng.normal(1, 0.02, 3), 0, 255)
    hazy = light in ("rain", "overcast") and rng.random() < 0.3
    return {
        "sun_direction": tuple(float(v) for v in direction),
        "sun": float(sun),
        "ambient": tuple(ambient.tolist()),
        "haze": tuple(haze.tolist()),
        "visibility_m": float(rng.uniform(60, 150) if hazy else rng.uniform(250, 900)),
        "wet": float(rng.uniform(0.3, 0.9) if light == "rain" or rng.random() < 0.05 else 0.0),
    }


def _surfaces(rng: np.random.Generator) -> dict:
    grey = rng.uniform(75, 165)
    warm = rng.normal(0, 0.025)
    side = rng.uniform(120, 200)
    return {
        "asphalt": (grey * (1 + warm), grey, grey * (1 - warm)),
        "asphalt_grain": float(rng.uniform(0.03, 0.11)),
        "stains": float(rng.uniform(0.03, 0.12)),
        "pavement": tuple((side * np.array([1.0, 0.97, 0.93]) * rng.normal(1, 0.05, 3)).tolist()),
        "grass": tuple((rng.uniform(85, 130) * rng.normal((0.9, 1.0, 0.58), (0.1, 0.0, 0.08))).tolist()),
        "soil": (rng.uniform(120, 170), rng.uniform(100, 140), rng.uniform(75, 115)),
    }


def _paint(rng: np.random.Generator) -> dict:
    white = rng.uniform(195, 245)
    dashes = ((3.0, 4.5), (3.0, 9.0), (2.0, 4.0), (1.0, 1.5), (3.0, 3.0), (2.0, 2.0), (4.0, 6.0))
    return {
        "white": (white, white * rng.uniform(0.97, 1.0), white * rng.uniform(0.92, 1.0)),
        "yellow": (rng.uniform(200, 240), rng.uniform(155, 190), rng.uniform(40, 95)),
        "wear": float(rng.beta(1.6, 3.0)),
        "line_width_m": float(rng.uniform(0.10, 0.20)),
        "dash_m": dashes[rng.integers(len(dashes))],
        "yellow_centre": bool(rng.random() < 0.45),
        "edge_line": str(rng.choice(["none", "white", "yellow", "double_yellow"], p=[0.4, 0.25, 0.1, 0.25])),
        "crossing": str(rng.choice(["zebra", "two_lines", "ladder", "dotted", "brick"], p=[0.5, 0.2, 0.14, 0.1, 0.06])),
    }


def _roadside(rng: np.random.Generator) -> dict:
    kerb = str(rng.choice(["plain", "black_white", "painted", "flush"], p=[0.62, 0.2, 0.06, 0.12]))
    stone = rng.uniform(115, 205)
    return {
        "kerb": kerb,
        "kerb_height_m": 0.0 if kerb == "flush" else float(rng.uniform(0.08, 0.2)),
        "kerb_colour": (stone, stone * rng.uniform(0.95, 1.0), stone * rng.uniform(0.88, 1.0)),
        "pavement_m": float(rng.uniform(1.2, 5.0)),
        "greenery": float(rng.uniform(0.1, 1.0)),
        "buildings": float(rng.uniform(0.1, 1.0)),
    }
