# SPDX-License-Identifier: Apache-2.0
"""Map layers that may overlap, as BEVFusion's six (arXiv 2205.13542): areas are filled, dividers are lines.

K layers, Y X cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.data.clipping import clip
from mapkd_core.data.rasterise import layers
from mapkd_core.grid import BevGrid
from mapkd_core.types import LAYERS, MapElement

THICKNESS = 2  # cells of a divider, 1 m on BEVFusion's grid, as nuscenes-devkit draws lines
UNKNOWN = -1
REACH = BevGrid(-60.0, 60.0, -60.0, 60.0, 0.5)  # of truth: BEVFusion's 100 m, and what turning and shifting bring in


@dataclass(frozen=True)
class LayerTruth:
    """elements: rings of areas and lines of dividers, ego metres; of an area all rings, holes too, by even and odd.

    known: layers whose truth is known; the others must be masked.
    """

    elements: tuple[MapElement, ...] = ()
    known: tuple[str, ...] = ()


def area_elements(name: str, area: shapely.Geometry, grid: BevGrid) -> list[MapElement]:
    """The rings of a union of polygons, cut to the grid."""
    inside = shapely.get_parts(shapely.intersection(area, shapely.box(*grid.bounds)))
    rings = [ring for part in inside if part.geom_type == "Polygon" for ring in (part.exterior, *part.interiors)]
    return [MapElement(name, shapely.get_coordinates(ring)[:-1], is_closed=True) for ring in rings]


def layer_masks(truth: LayerTruth, grid: BevGrid, classes: Sequence[str] = LAYERS) -> NDArray[np.int8]:
    """K Y X: 1 inside, 0 outside, UNKNOWN. Raises ValueError for a class that is no layer."""
    if strange := [name for name in classes if name not in LAYERS]:
        raise ValueError(f"class {strange[0]!r} is no layer; known: {', '.join(LAYERS)}")
    masks = np.full((len(classes), *grid.shape), UNKNOWN, np.int8)
    for mask, name in zip(masks, classes, strict=True):
        if name in truth.known:
            elements = [e for e in truth.elements if e.class_name == name]
            mask[:] = _lines(elements, grid) if name == "divider" else filled([e.vertices_m for e in elements], grid)
    return masks


def filled(rings: Sequence[NDArray], grid: BevGrid) -> NDArray[np.bool_]:
    """Y X: cells whose centre lies inside an odd number of rings, each V 2 without its first vertex repeated."""
    rows, columns = grid.shape
    starts = np.concatenate([np.zeros((0, 2)), *(grid.to_cells(ring) for ring in rings)])
    ends = np.concatenate([np.zeros((0, 2)), *(np.roll(grid.to_cells(ring), -1, axis=0) for ring in rings)])
    falls = starts[:, 1] > ends[:, 1]
    starts[falls], ends[falls] = ends[falls], starts[falls].copy()
    first, after = (np.clip(np.ceil(each[:, 1]), 0, rows).astype(int) for each in (starts, ends))
    counts = after - first
    edge = np.repeat(np.arange(len(counts)), counts)
    row = first[edge] + np.arange(len(edge)) - np.repeat(counts.cumsum() - counts, counts)
    slope = (ends - starts)[edge, 0] / (ends - starts)[edge, 1]
    crossing = starts[edge, 0] + (row - starts[edge, 1]) * slope
    turns = np.zeros((rows, columns + 1), np.int64)
    np.add.at(turns, (row, np.clip(np.ceil(crossing), 0, columns).astype(int)), 1)
    return turns[:, :columns].cumsum(1) % 2 == 1


def _lines(elements: Sequence[MapElement], grid: BevGrid) -> NDArray[np.bool_]:
    inside = [part for element in elements for part in clip(element, grid)]
    return layers(inside, grid, ("divider",), THICKNESS)[0]
