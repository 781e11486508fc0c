# SPDX-License-Identifier: Apache-2.0
"""Layers that may overlap: filled by even and odd, masked where unknown, kept on disk, moved with the ego frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely

from mapkd_core.config import TrainConfig
from mapkd_core.data.augment import mirror, move
from mapkd_core.data.batch import to_batch
from mapkd_core.data.layers import UNKNOWN, LayerTruth, area_elements, filled, layer_masks
from mapkd_core.data.samples import SampleFolder, write
from mapkd_core.geometry import planar
from mapkd_core.grid import BevGrid
from mapkd_core.types import LAYERS, MapElement
from mapkd_core.worlds.layers import local_layers
from mapkd_core.worlds.road_map import RoadMap

GRID = BevGrid(-4.0, 4.0, -2.0, 2.0, 0.5)  # 8 rows, 16 columns
SQUARE = np.array([(-2.0, -1.0), (2.0, -1.0), (2.0, 1.0), (-2.0, 1.0)])


def test_a_square_fills_its_cells_and_a_ring_inside_is_a_hole():
    mask = filled([SQUARE], GRID)
    wanted = np.zeros(GRID.shape, bool)
    wanted[2:6, 4:12] = True
    assert (mask == wanted).all()
    wanted[3:5, 7:9] = False
    assert (filled([SQUARE, SQUARE / 4 * (1, 2)], GRID) == wanted).all()
    assert not filled([], GRID).any()


def test_filling_agrees_with_shapely_also_beyond_the_grid():
    rng, centres = np.random.default_rng(2), GRID.centres()
    for _ in range(20):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
        ring = np.column_stack([np.cos(angles), np.sin(angles)]) * rng.uniform(0.3, 6, (9, 1))
        polygon = shapely.Polygon(ring)
        if polygon.is_valid:
            assert (filled([ring], GRID) == shapely.contains_xy(polygon, centres[..., 0], centres[..., 1])).all()


def test_masks_of_areas_lines_and_what_is_not_known():
    area = shapely.box(-9, -1, 9, 1).difference(shapely.box(-1, -0.5, 1, 0.5))
    line = MapElement("divider", np.array([(-9.0, 1.25), (9.0, 1.25)]))
    truth = LayerTruth((*area_elements("drivable_area", area, GRID), line), ("drivable_area", "divider", "stop_line"))
    masks = dict(zip(LAYERS, layer_masks(truth, GRID), strict=True))
    assert masks["drivable_area"][2:6].sum() == masks["drivable_area"].sum() == 4 * 16 - 2 * 4
    drawn = masks["divider"].any(1)
    assert drawn[6] and not drawn[:5].any()  # one metre wide round the row whose centre is 1.25
    assert (masks["stop_line"] == 0).all() and (masks["walkway"] == UNKNOWN).all()
    with pytest.raises(ValueError, match="class 'boundary' is no layer"):
        layer_masks(truth, GRID, ("boundary",))


def test_layers_of_a_road_map_at_a_pose():
    """A road 4 m wide along x, two crossings that overlap. At a quarter turn it runs across the picture."""
    ring = np.array([(2.0, -2.0), (3.0, -2.0), (3.0, 2.0), (2.0, 2.0)])
    road_map = RoadMap(
        "by hand", (np.array([(-50.0, 1.0), (50.0, 1.0)]),), (), (ring, ring + (0.5, 0.0)), (), np.zeros((1, 4)),
        labelled=("divider", "ped_crossing"), drivable=shapely.MultiPolygon([shapely.box(-50, -2, 50, 2)]),
    )  # fmt: skip
    truth = local_layers(road_map, planar(2.5, 0.0, np.pi / 2), GRID)
    assert truth.known == ("drivable_area", "ped_crossing", "divider")
    masks = dict(zip(LAYERS, layer_masks(truth, GRID), strict=True))
    assert masks["drivable_area"].sum() == 8 * 8 and (masks["drivable_area"][:, 4:12] == 1).all()
    assert masks["ped_crossing"].any(1).tolist() == [False, False, True, True, True, False, False, False]  # y -1 .. 0.5
    assert {9, 10} <= set(masks["divider"].any(0).nonzero()[0]) <= {8, 9, 10, 11}  # x = 1 m


def test_samples_keep_layers_and_augmentation_moves_them(make_sample, tmp_path):
    ring = MapElement("drivable_area", np.array([(0.0, 0.0), (3.0, 0.0), (3.0, 2.0)]), is_closed=True)
    sample = replace(make_sample(), layers=LayerTruth((ring,), ("drivable_area", "walkway")))
    write(tmp_path, "world", [sample])
    found = SampleFolder(tmp_path)[0]
    assert found.layers.known == sample.layers.known
    np.testing.assert_allclose(found.layers.elements[0].vertices_m, ring.vertices_m)
    moved = move(mirror(found), planar(1.0, 0.0, 0.0)).layers
    np.testing.assert_allclose(moved.elements[0].vertices_m, [(-1, 0), (2, 0), (2, -2)], atol=1e-6)
    write(tmp_path / "plain", "world", [make_sample()])
    assert SampleFolder(tmp_path / "plain")[0].layers is None


def test_a_network_of_layers_has_their_truth_and_no_lines(make_sample, tiny):
    config = TrainConfig(model=replace(tiny, classes=LAYERS))
    with pytest.raises(ValueError, match=r"a network of the layers drivable_area, .* these do not"):
        to_batch(make_sample(), config)
    batch = to_batch(replace(make_sample(), layers=LayerTruth((), ("walkway",))), config)
    assert batch.layers.shape == (1, 6, *tiny.grid.shape) and not batch.labels.any()
    assert (batch.element_classes == -1).all() and to_batch(make_sample(), TrainConfig(model=tiny)).layers is None
