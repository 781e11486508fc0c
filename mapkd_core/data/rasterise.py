# SPDX-License-Identifier: Apache-2.0
"""Map elements -> labels on the BEV grid: class, instance, direction. The one place that says how thick a line is.

A cell belongs to a line when its centre lies within `thickness / 2` cells of it (half-open: a straight line along an
axis is exactly `thickness` cells wide wherever it lies between the cell centres), with round ends. That is computed
here and not drawn with OpenCV, whose line of "5 px" is 5 or 7 px wide depending on its version and always starts at a
whole pixel: truth must not change with a dependency.

Closed elements (crossings) are drawn as closed outlines. Where classes meet, the later one of `classes` wins, as in
HDMapNet and P-MapNet: boundary over ped_crossing over divider.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.coverage import cover
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, MapElement

THICKNESS = 5  # cells; 0.75 m on the default grid, as HDMapNet, P-MapNet and MapKD draw their truth
DIRECTION_BINS = 18  # of 10 degrees; HDMapNet's 36 bins of a full turn, where each pixel carries both opposite ones
_OVERLAP_MARGIN = 4  # cells that P-MapNet's overlap filter adds to the thickness


@dataclass(frozen=True)
class RasterTargets:
    """What the raster head learns from, all [Y, X] and consistent with each other: 0 is background in each.

    labels: uint8, 1 + index of the class. instances: int32, 1 + index of the element.
    directions: uint8, 1 + bin of the line's angle modulo pi.
    """

    labels: NDArray[np.uint8]
    instances: NDArray[np.int32]
    directions: NDArray[np.uint8]


def rasterise(
    elements: Sequence[MapElement],
    grid: BevGrid,
    classes: Sequence[str] = CLASSES,
    thickness: float = THICKNESS,
    clear_overlap: bool = False,
) -> NDArray[np.uint8]:
    """uint8 [Y, X]: 0 background, 1 + index of the class elsewhere.

    clear_overlap: P-MapNet's filter; a class gives way within `thickness + 4` cells of a later one, which leaves a
    gap of background. Off by default: our crossings are closed outlines whose short sides run along the kerb (the
    peers' are two long edges), so the filter would open nearly every one of them. Turn it on to compare with the
    peers' published IoU. Raises ValueError for a class that is not in `classes` and for vertices that are not finite.
    """
    order = _painting_order(elements, classes)
    cells, owner, _ = cover(elements, order, grid, thickness)
    labels = np.zeros(grid.shape, np.uint8)
    labels.reshape(-1)[cells] = _labels_of(elements, classes)[owner]
    if clear_overlap:
        _clear_overlap(labels, elements, order, grid, classes, thickness + _OVERLAP_MARGIN)
    return labels


def instances(
    elements: Sequence[MapElement],
    grid: BevGrid,
    classes: Sequence[str] = CLASSES,
    thickness: float = THICKNESS,
) -> NDArray[np.int32]:
    """int32 [Y, X]: 0 background, 1 + index into `elements` elsewhere; agrees with `rasterise` cell by cell."""
    return raster_targets(elements, grid, classes, thickness).instances


def directions(
    elements: Sequence[MapElement],
    grid: BevGrid,
    classes: Sequence[str] = CLASSES,
    thickness: float = THICKNESS,
    bins: int = DIRECTION_BINS,
) -> NDArray[np.uint8]:
    """uint8 [Y, X]: 0 background, 1 + bin of the line's angle, of `bins` equal bins over [0, pi).

    The angle is taken modulo pi because truth lines have no agreed sense: a divider reversed is the same divider.
    """
    return raster_targets(elements, grid, classes, thickness, bins).directions


def raster_targets(
    elements: Sequence[MapElement],
    grid: BevGrid,
    classes: Sequence[str] = CLASSES,
    thickness: float = THICKNESS,
    bins: int = DIRECTION_BINS,
) -> RasterTargets:
    """Labels, instances and directions of one frame in one pass (about 1 ms on the default grid)."""
    if not 1 <= bins <= 255:
        raise ValueError(f"{bins} direction bins do not fit uint8 with 0 for background; use 1..255")
    order = _painting_order(elements, classes)
    cells, owner, angle = cover(elements, order, grid, thickness)
    targets = RasterTargets(
        np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.int32), np.zeros(grid.shape, np.uint8)
    )
    targets.labels.reshape(-1)[cells] = _labels_of(elements, classes)[owner]
    targets.instances.reshape(-1)[cells] = owner + 1
    targets.directions.reshape(-1)[cells] = 1 + np.floor(angle / np.pi * bins + 1e-9).astype(int) % bins
    return targets


def layers(
    elements: Sequence[MapElement],
    grid: BevGrid,
    classes: Sequence[str] = CLASSES,
    thickness: float = THICKNESS,
) -> NDArray[np.bool_]:
    """bool [K, Y, X]: each class by itself, so that a cell may hold several (multi-label truth)."""
    order = _painting_order(elements, classes)
    cells, owner, _ = cover(elements, order, grid, thickness)
    out = np.zeros((len(classes), *grid.shape), bool)
    out.reshape(len(classes), -1)[_labels_of(elements, classes)[owner].astype(int) - 1, cells] = True
    return out


def _labels_of(elements: Sequence[MapElement], classes: Sequence[str]) -> NDArray[np.uint8]:
    return np.array([list(classes).index(e.class_name) + 1 for e in elements], np.uint8)


def _painting_order(elements: Sequence[MapElement], classes: Sequence[str]) -> list[int]:
    """Indices of the elements with the winning class last."""
    unknown = {e.class_name for e in elements} - set(classes)
    if unknown:
        raise ValueError(
            f"elements of class {sorted(unknown)} cannot be drawn as {list(classes)}: filter them or name the class"
        )
    return sorted(range(len(elements)), key=lambda i: list(classes).index(elements[i].class_name))


def _clear_overlap(
    labels: NDArray[np.uint8],
    elements: Sequence[MapElement],
    order: Sequence[int],
    grid: BevGrid,
    classes: Sequence[str],
    thickness: float,
) -> None:
    """Empty, in place, the cells of earlier classes that lie within `thickness / 2` of a later class."""
    cells, owner, _ = cover(elements, order, grid, thickness)
    latest = np.zeros(labels.size, np.uint8)
    latest[cells] = _labels_of(elements, classes)[owner]
    labels[labels < latest.reshape(labels.shape)] = 0
