# SPDX-License-Identifier: Apache-2.0
"""BEVFusion's six layers (arXiv 2205.13542) around a pose, from the map expansion.

Five are areas as the map has them; `divider` is road_divider and lane_divider together. BEVFusion's frame is the
LiDAR's, ours the ego's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.data.layers import LayerTruth, area_elements
from mapkd_core.data.nuscenes.map_layers import DIVIDER_LAYERS, MapLayers
from mapkd_core.grid import BevGrid
from mapkd_core.types import LAYERS, MapElement


def layer_truth(
    layers: MapLayers, map_T_ego: NDArray[np.float64], grid: BevGrid, known: Sequence[str] = LAYERS
) -> LayerTruth:
    """What lies inside `grid` at the planar pose `map_T_ego` (4x4), ego metres. known: layers that the map has."""
    elements: list[MapElement] = []
    for name in known:
        if name == "divider":
            lines = [line for layer in DIVIDER_LAYERS for line in layers.local(layer, map_T_ego, grid)]
            elements += [MapElement(name, shapely.get_coordinates(line)) for line in lines]
        else:
            elements += area_elements(name, shapely.union_all(layers.local(name, map_T_ego, grid)), grid)
    return LayerTruth(tuple(elements), tuple(known))
