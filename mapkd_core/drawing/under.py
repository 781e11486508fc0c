# SPDX-License-Identifier: Apache-2.0
"""What lies below the lines of a map from above: the LiDAR's points, and maps that were made before the drive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.drawing import colours
from mapkd_core.drawing.cameras import densify
from mapkd_core.drawing.colours import Colour, colour_of
from mapkd_core.grid import BevGrid
from mapkd_core.types import MapElement

LIDAR = "LiDAR"
_RAISED_M = 0.4  # higher than kerbs: vehicles, walls, poles
_HIGHEST_M = 4.0  # above a vehicle's roof: trees and bridges hide what is below them
_DASH_M = 1.0


@dataclass(frozen=True)
class Under:
    """points: P x 3 or more, ego metres. priors: name ("sd", "hd", any other) -> elements of any class."""

    points: NDArray[np.float32] | None = None
    priors: Mapping[str, Sequence[MapElement]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """What a legend has to explain."""
        return (*((LIDAR,) if self.points is not None else ()), *self.priors)


def prior_colour(name: str) -> Colour:
    """RGB of a prior; one that is not known here always gets the same colour."""
    return colours.PRIOR_COLOURS.get(name) or colour_of(name)


def draw_under(
    panel: NDArray[np.uint8], pixels: Callable[[NDArray], NDArray[np.float64]], grid: BevGrid, under: Under
) -> None:
    """Into `panel`, in place. pixels: ego metres N x 2 -> columns and rows of the panel."""
    if under.points is not None:
        _draw_points(panel, pixels, grid, under.points)
    for name, elements in under.priors.items():
        for element in elements:
            _draw_dashed(panel, pixels, grid, element, prior_colour(name))


def _draw_points(
    panel: NDArray[np.uint8], pixels: Callable[[NDArray], NDArray[np.float64]], grid: BevGrid, points: NDArray
) -> None:
    """A pixel each, those that stand up over those on the ground."""
    shown = points[_inside(grid, points[:, :2]) & (points[:, 2] < _HIGHEST_M)]
    raised = shown[:, 2] > _RAISED_M
    for chosen, colour in ((~raised, colours.GROUND_POINT), (raised, colours.RAISED_POINT)):
        columns, rows = np.floor(pixels(shown[chosen, :2])).astype(int).T
        panel[rows, columns] = colour


def _draw_dashed(
    panel: NDArray[np.uint8],
    pixels: Callable[[NDArray], NDArray[np.float64]],
    grid: BevGrid,
    element: MapElement,
    colour: Colour,
) -> None:
    """Dashes of a metre, those that lie inside the map: a prior may reach further than it."""
    line = densify(np.asarray(element.vertices_m)[:, :2], element.is_closed, _DASH_M)
    inside = _inside(grid, line)
    at = np.round(pixels(line)).astype(int)
    for i in range(0, len(line) - 1, 2):
        if inside[i] and inside[i + 1]:
            cv2.line(panel, tuple(map(int, at[i])), tuple(map(int, at[i + 1])), colour, 1)


def _inside(grid: BevGrid, xy_m: NDArray) -> NDArray[np.bool_]:
    x, y = xy_m[:, 0], xy_m[:, 1]
    return (x > grid.x_min) & (x < grid.x_max) & (y > grid.y_min) & (y < grid.y_max)
