# SPDX-License-Identifier: Apache-2.0
"""BEVFusion's layers out of a map drawn by hand."""

from __future__ import annotations

from mapkd_core.data.layers import layer_masks
from mapkd_core.data.nuscenes import devkit
from mapkd_core.data.nuscenes.layer_truth import layer_truth
from mapkd_core.data.nuscenes.map_layers import MapLayers
from mapkd_core.grid import BevGrid
from mapkd_core.types import LAYERS

GRID = BevGrid(-4.0, 4.0, -2.0, 2.0, 0.5)


def test_six_layers_at_a_pose(city, pose):
    """Areas of one layer that overlap are one; both kinds of divider are dividers."""
    root = city(
        areas=[("drivable_area", (-20, -1, 1, 1)), ("drivable_area", (0, -1, 20, 1)), ("walkway", (-20, 1, 20, 2)),
               ("carpark_area", (2, -2, 9, -1))],
        crossings=[(-1, -1, 0, 1)],
        lane_dividers=[[(-20, 0.25), (20, 0.25)]], road_dividers=[[(-20, -1.75), (20, -1.75)]],
    )  # fmt: skip
    truth = layer_truth(MapLayers(devkit.open_map(root, "boston-seaport")), pose, GRID)
    assert truth.known == LAYERS
    masks = dict(zip(LAYERS, layer_masks(truth, GRID), strict=True))
    assert masks["drivable_area"].sum() == 4 * 16 and (masks["drivable_area"][2:6] == 1).all()
    assert masks["walkway"].sum() == 2 * 16 and masks["carpark_area"].sum() == 2 * 4
    assert masks["ped_crossing"].sum() == 4 * 2 and masks["stop_line"].sum() == 0
    assert {0, 4} <= set(masks["divider"].any(1).nonzero()[0]) <= {0, 1, 3, 4, 5}


def test_only_known_layers_are_told(city, pose):
    root = city(areas=[("walkway", (-1, -1, 1, 1))])
    truth = layer_truth(MapLayers(devkit.open_map(root, "boston-seaport")), pose, GRID, ("drivable_area",))
    assert truth.elements == () and (layer_masks(truth, GRID)[2] == -1).all()
