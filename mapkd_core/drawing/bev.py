# SPDX-License-Identifier: Apache-2.0
"""A map from above, forward up and left to the left, with metric ticks and the vehicle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.drawing import colours
from mapkd_core.drawing.colours import Colour, colour_of
from mapkd_core.drawing.text import write
from mapkd_core.drawing.under import Under, draw_under
from mapkd_core.grid import BevGrid
from mapkd_core.types import LocalMap, MapElement

Image = NDArray[np.uint8]

_LEFT, _TOP, _BOTTOM, _RIGHT = 34, 26, 22, 8  # pixels around the map for ticks and title
_EGO_M = ((-0.8, -0.9), (3.3, 0.9))  # the nuScenes vehicle around its rear axle: back right, front left
_SHIFT = 4


@dataclass(frozen=True)
class _View:
    """Metres -> pixels of a panel."""

    grid: BevGrid
    scale: float  # pixels per metre

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the map in pixels."""
        g = self.grid
        return round((g.y_max - g.y_min) * self.scale), round((g.x_max - g.x_min) * self.scale)

    def pixels(self, xy_m: NDArray[np.floating]) -> NDArray[np.float64]:
        xy = np.asarray(xy_m, np.float64)
        return np.stack([self.grid.y_max - xy[..., 1], self.grid.x_max - xy[..., 0]], -1) * self.scale + (_LEFT, _TOP)


def bev_panel(
    grid: BevGrid,
    elements: Sequence[MapElement] = (),
    probability: NDArray[np.uint8] | None = None,
    classes: Sequence[str] = (),
    observed: NDArray[np.bool_] | None = None,
    title: str = "",
    height: int = 660,
    *,
    under: Under | None = None,
) -> Image:
    """RGB uint8 [height, width by the grid's aspect, 3].

    probability: K Y X uint8 as in `LocalMap`, drawn as glow under the lines; `classes` names its layers.
    """
    view = _View(grid, (height - _TOP - _BOTTOM) / (grid.x_max - grid.x_min))
    width, length = view.size
    panel = np.full((height, width + _LEFT + _RIGHT, 3), colours.BACKGROUND, np.uint8)
    ground = cv2.resize(_ground(grid, probability, classes, observed), (width, length), interpolation=cv2.INTER_LINEAR)
    panel[_TOP : _TOP + length, _LEFT : _LEFT + width] = ground
    _draw_ticks(panel, view)
    if under is not None:
        draw_under(panel, view.pixels, grid, under)
    for element in sorted(elements, key=lambda e: e.confidence):
        _draw_element(panel, view, element)
    _draw_ego(panel, view)
    write(panel, title, (_LEFT, _TOP - 9), colours.TEXT, 0.45)
    return panel


def map_panel(local_map: LocalMap, title: str, height: int = 660, under: Under | None = None) -> Image:
    """The panel of a whole `LocalMap`."""
    m = local_map
    return bev_panel(m.grid, m.elements, m.probability, m.classes, m.observed, title, height, under=under)


def _ground(
    grid: BevGrid,
    probability: NDArray[np.uint8] | None,
    classes: Sequence[str],
    observed: NDArray[np.bool_] | None,
) -> Image:
    """RGB [X, Y, 3] with forward up: the layers as light on the background."""
    seen = np.ones(grid.shape, bool) if observed is None else observed
    ground = np.where(
        seen[..., None], np.array(colours.BACKGROUND, np.float32), np.array(colours.UNOBSERVED, np.float32)
    )
    if probability is not None:
        for layer, name in zip(probability, classes, strict=True):
            weight = (layer.astype(np.float32) / 255 * 0.62)[..., None]
            ground = ground * (1 - weight) + np.array(colour_of(name), np.float32) * weight
    return np.ascontiguousarray(ground.astype(np.uint8).transpose(1, 0, 2)[::-1, ::-1])


def _draw_ticks(panel: Image, view: _View) -> None:
    g = view.grid
    spacing = 10.0 if g.x_max - g.x_min <= 120 else 20.0
    for x in _multiples(g.x_min, g.x_max, spacing):
        start, end = view.pixels(np.array([[x, g.y_max], [x, g.y_min]]))
        _segment(panel, start, end, colours.RASTER_LINE)
        write(panel, f"{x:+.0f}" if x else "0", (2, int(start[1]) + 4), colours.FAINT_TEXT, 0.35)
    for y in _multiples(g.y_min, g.y_max, spacing):
        start, end = view.pixels(np.array([[g.x_max, y], [g.x_min, y]]))
        _segment(panel, start, end, colours.RASTER_LINE)
        label = f"{y:+.0f} m" if y else "0 m"
        write(panel, label, (int(end[0]) - 4 * len(label), int(end[1]) + 15), colours.FAINT_TEXT, 0.35)


def _draw_element(panel: Image, view: _View, element: MapElement) -> None:
    """Thin dark edge below, so that a line is seen on its own glow; vertices as dots."""
    points = np.round(view.pixels(element.vertices_m) * (1 << _SHIFT)).astype(np.int32)
    colour = _faded(colour_of(element.class_name), element.confidence)
    cv2.polylines(panel, [points], element.is_closed, (0, 0, 0), 3, cv2.LINE_AA, _SHIFT)
    cv2.polylines(panel, [points], element.is_closed, colour, 1, cv2.LINE_AA, _SHIFT)
    for point in points:
        cv2.circle(panel, tuple(map(int, point)), int(1.6 * (1 << _SHIFT)), colour, -1, cv2.LINE_AA, _SHIFT)


def _draw_ego(panel: Image, view: _View) -> None:
    (back, right), (front, left) = _EGO_M
    body = np.array([[back, right], [back, left], [front, left], [front, right]])
    nose = np.array([[front, 0.0], [front - 1.2, left], [front - 1.2, right]])
    cv2.fillPoly(panel, [np.round(view.pixels(body)).astype(np.int32)], (96, 100, 110), cv2.LINE_AA)
    cv2.fillPoly(panel, [np.round(view.pixels(nose)).astype(np.int32)], colours.EGO, cv2.LINE_AA)


def _faded(colour: Colour, confidence: float) -> Colour:
    """Unsure lines are darker, never so dark that they vanish."""
    strength = 0.5 + 0.5 * float(np.clip(confidence, 0, 1))
    red, green, blue = (round(channel * strength) for channel in colour)
    return red, green, blue


def _multiples(low: float, high: float, spacing: float) -> NDArray[np.float64]:
    return np.arange(np.ceil(low / spacing), np.floor(high / spacing) + 1) * spacing


def _segment(panel: Image, start: NDArray[np.float64], end: NDArray[np.float64], colour: Colour) -> None:
    cv2.line(panel, tuple(map(int, start)), tuple(map(int, end)), colour, 1)
