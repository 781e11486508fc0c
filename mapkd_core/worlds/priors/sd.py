# SPDX-License-Identifier: Apache-2.0
"""An SD map: road axes as a navigation map has them, some metres off, some missing, with few vertices.

The error has four parts, as OpenStreetMap lines beside nuScenes' roads show them (`mapkd compare sd`, docs/worlds.md):
one shift of the whole map (aerial images are metres off), one of each road (drawn by different people), a field that
varies smoothly along the way, and the rest at every vertex.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.worlds import polylines

Line = NDArray[np.float64]
_FINE_M = 5.0
_WAVES = 96


@dataclass(frozen=True)
class SdError:
    """Standard deviations per axis in metres, and how lines are thinned; defaults as measured.

    shift_m: of the whole map. road_m: of each road. field_m: of the smooth field, whose correlation at distance d is
    exp(-d^2 / (2 field_length_m^2)). vertex_m: of each vertex. dropped: share of roads that are missing.
    tolerance_m: vertices that matter less are left out (Douglas-Peucker); spacing_m: at most so far apart.
    """

    shift_m: float = 3.0
    road_m: float = 1.3
    field_m: float = 1.1
    field_length_m: float = 70.0
    vertex_m: float = 0.15
    dropped: float = 0.13
    tolerance_m: float = 0.3
    spacing_m: float = 15.0

    def __post_init__(self) -> None:
        if not 0 <= self.dropped <= 1:
            raise ValueError(f"dropped = {self.dropped}; a share lies between 0 and 1")
        sizes = (self.shift_m, self.road_m, self.field_m, self.vertex_m, self.tolerance_m)
        if min(sizes) < 0 or self.field_length_m <= 0 or self.spacing_m <= 0:
            raise ValueError(f"{self}: lengths must not be negative, field_length_m and spacing_m must be positive")


def with_error(
    lines: Sequence[Line], rng: np.random.Generator, error: SdError | None = None
) -> tuple[list[Line], list[int]]:
    """Road axes (V x 2, map metres) as an SD map has them, and which of `lines` each is; missing ones are left out."""
    error = error or SdError()
    shift = rng.normal(0, error.shift_m, 2)
    field = smooth_field(rng, error.field_length_m)
    found: list[Line] = []
    kept: list[int] = []
    for index, line in enumerate(lines):
        road = rng.normal(0, error.road_m, 2)
        if rng.random() < error.dropped:
            continue
        fine = polylines.resampled(np.asarray(line, np.float64), _FINE_M)
        moved = fine + shift + road + error.field_m * field(fine)
        thin = _thinned(moved, error)
        found.append(thin + rng.normal(0, error.vertex_m, thin.shape))
        kept.append(index)
    return found, kept


def smooth_field(rng: np.random.Generator, length_m: float) -> Callable[[Line], Line]:
    """A random field of the plane: N x 2 points -> N x 2 independent values of deviation 1.

    A sum of waves whose wave vectors are normal with deviation 1 / length_m has the covariance
    exp(-d^2 / (2 length_m^2)): random Fourier features (Rahimi and Recht 2007, section 3.1).
    """
    waves = rng.normal(0, 1 / length_m, (2, 2, _WAVES))
    phases = rng.uniform(0, 2 * np.pi, (2, _WAVES))

    def field(xy: Line) -> Line:
        values = [np.cos(xy @ waves[axis] + phases[axis]).sum(axis=-1) for axis in (0, 1)]
        return np.sqrt(2 / _WAVES) * np.stack(values, -1)

    return field


def _thinned(line: Line, error: SdError) -> Line:
    """With as few vertices as somebody who draws it by hand."""
    simple = shapely.simplify(shapely.LineString(line), error.tolerance_m)
    return polylines.resampled(shapely.get_coordinates(simple), error.spacing_m)
