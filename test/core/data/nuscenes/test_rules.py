# SPDX-License-Identifier: Apache-2.0
"""Map vectors by each published rule on a crossroads drawn by hand, read back by the devkit."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from mapkd_core.data.nuscenes import devkit
from mapkd_core.data.nuscenes.map_layers import MapLayers
from mapkd_core.data.nuscenes.rules import RULES, map_vectors
from mapkd_core.grid import RANGES, BevGrid

# In the ego frame: a road from y = -4 to 8 in two overlapping pieces with an island, four crossings (two that touch
# and are parallel, one across them, one cut by the range), a lane divider, and a road divider in two pieces.
CROSSINGS = [(10, -4, 14, 2), (10, 2, 14, 8), (14, -4, 22, -1), (28, -4, 34, 0)]


@pytest.fixture()
def layers(city):
    root = city(
        roads=[(-50, -4, 50, 4)], lanes=[(-50, 3, 50, 8)], holes=[(-15, -1, -10, 1)], crossings=CROSSINGS,
        lane_dividers=[[(-40, 2), (40, 2)]], road_dividers=[[(-20, -2), (0, -2)], [(0, -2), (20, -2)]],
    )  # fmt: skip
    return MapLayers(devkit.open_map(root, "boston-seaport"))


def named(elements, name):
    return [element for element in elements if element.class_name == name]


def area(element):
    return shapely.Polygon(element.vertices_m).area


def length(element):
    return shapely.LineString(element.vertices_m).length


@pytest.mark.parametrize(("rules", "lengths"), [(name, [20, 20, 60]) for name in RULES if name != "ours"])
def test_peers_take_each_divider_record_by_itself(layers, pose, rules, lengths):
    found = named(map_vectors(layers, pose, BevGrid(), rules), "divider")
    assert sorted(map(length, found)) == pytest.approx(lengths)


def test_ours_joins_dividers_that_continue(layers, pose):
    found = named(map_vectors(layers, pose, BevGrid(), "ours"), "divider")
    assert sorted(map(length, found)) == pytest.approx([40, 60])
    assert all(np.abs(e.vertices_m[:, 0]).max() <= 30 + 1e-9 for e in found)


@pytest.mark.parametrize(
    ("rules", "end"), [("ours", 30.0), ("hdmapnet", 29.8), ("maptr", 29.8), ("streammapnet", 29.8)]
)
def test_boundary_is_the_contour_of_road_segments_and_lanes(layers, pose, rules, end):
    found = named(map_vectors(layers, pose, BevGrid(), rules), "boundary")
    sides = {round(float(e.vertices_m[0, 1]), 6): e for e in found if not e.is_closed}
    assert set(sides) == {-4.0, 8.0}
    for side in sides.values():
        assert sorted(side.vertices_m[[0, -1], 0]) == pytest.approx([-end, end])
    # The road lies on the right of its boundary: the one on the vehicle's right runs against the driving direction.
    assert sides[-4.0].vertices_m[0, 0] > 0 > sides[8.0].vertices_m[0, 0]
    (island,) = [e for e in found if e.is_closed]
    assert area(island) == pytest.approx(10) and len(island.vertices_m) == 4


def test_hdmapnet_takes_the_two_longest_edges_of_each_crossing(layers, pose):
    found = named(map_vectors(layers, pose, BevGrid(), "hdmapnet"), "ped_crossing")
    assert not any(e.is_closed for e in found)
    assert sorted(map(length, found)) == pytest.approx([2, 2, 6, 6, 6, 6, 8, 8])
    assert named(map_vectors(layers, pose, BevGrid(), "pmapnet"), "ped_crossing")[0].class_name == "ped_crossing"


@pytest.mark.parametrize(
    ("rules", "areas"), [("maptr", [8, 72]), ("streammapnet", [8, 24, 48]), ("ours", [8, 24, 24, 24])]
)
def test_closed_crossings_are_merged_as_each_paper_does(layers, pose, rules, areas):
    found = named(map_vectors(layers, pose, BevGrid(), rules), "ped_crossing")
    assert all(e.is_closed for e in found)
    assert sorted(map(area, found)) == pytest.approx(areas)


def test_a_longer_range_reaches_farther(layers, pose):
    grid = RANGES["120x60"]
    found = map_vectors(layers, pose, grid, "maptr")
    assert max(map(length, named(found, "divider"))) == pytest.approx(80)
    assert sorted(map(area, named(found, "ped_crossing"))) == pytest.approx([24, 72])  # 28..34 m is inside now


def test_ranges_are_what_papers_report():
    shapes = {name: (grid.x_max - grid.x_min, grid.y_max - grid.y_min, grid.shape) for name, grid in RANGES.items()}
    assert shapes == {
        "60x30": (60, 30, (200, 400)), "120x60": (120, 60, (200, 400)), "240x60": (240, 60, (200, 800)),
        "100x50": (100, 50, (200, 400)),
    }  # fmt: skip


def test_unknown_rules_are_refused_with_the_known_ones(layers, pose):
    with pytest.raises(ValueError, match="'vectormapnet'; known: ours, hdmapnet"):
        map_vectors(layers, pose, BevGrid(), "vectormapnet")


def test_another_map_version_is_refused_by_name(city):
    root = city(roads=[(-50, -4, 50, 4)], version="1.2")
    with pytest.raises(ValueError, match=r"boston-seaport.json: map version '1.2'; unpack map expansion v1.3"):
        devkit.open_map(root, "boston-seaport")


def test_a_later_map_version_is_refused(city):
    with pytest.raises(ValueError, match=r"map version '2\.0'"):
        devkit.open_map(city(version="2.0"), "boston-seaport")


def test_a_missing_layer_is_named(city):
    with pytest.raises(ValueError, match="'walkway' is missing"):
        devkit.open_map(city(walkway=None), "boston-seaport")


def test_a_missing_map_is_named(city):
    with pytest.raises(FileNotFoundError, match=r"expansion/singapore-onenorth.json: no such map; unpack"):
        devkit.open_map(city(), "singapore-onenorth")
