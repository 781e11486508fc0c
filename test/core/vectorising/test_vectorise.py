# SPDX-License-Identifier: Apache-2.0
"""Raster to vectors: what was drawn comes back, whatever touches, crosses or hides it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mapkd_core.data.rasterise import instances, rasterise
from mapkd_core.evaluation.chamfer_ap import ChamferApAccumulator, chamfer, resample
from mapkd_core.grid import BevGrid
from mapkd_core.types import MapElement
from mapkd_core.vectorise import VectoriseOptions, vectorise

GRID = BevGrid()
ROADS = Path(__file__).parents[3].parent / "shared" / "data" / "roads"


def line(*vertices: tuple[float, float], name: str = "boundary", closed: bool = False) -> MapElement:
    return MapElement(name, np.array(vertices, float), closed)


def drawn(*elements: MapElement) -> np.ndarray:
    """Probability layers of a network that is always right and certain."""
    labels = rasterise(elements, GRID)
    return np.stack([(labels == k + 1) * np.uint8(255) for k in range(3)])


def apart(a: MapElement, b: MapElement) -> float:
    return chamfer(resample(a.vertices_m, a.is_closed), resample(b.vertices_m, b.is_closed))


def test_a_straight_line_comes_back_with_two_vertices_from_border_to_border() -> None:
    truth = line((-30, 4), (30, -2))
    (found,) = vectorise(drawn(truth), GRID)
    assert (found.class_name, found.is_closed) == ("boundary", False) and found.confidence > 0.95
    assert len(found.vertices_m) <= 4 and apart(found, truth) < 0.06
    assert sorted(np.abs(found.vertices_m[[0, -1], 0])) == pytest.approx([30, 30], abs=0.01)


def test_a_line_that_ends_inside_ends_there() -> None:
    (found,) = vectorise(drawn(line((-10, 0), (12, 3))), GRID)
    ends = sorted(found.vertices_m[[0, -1]].tolist())
    assert np.abs(np.array(ends) - [(-10, 0), (12, 3)]).max() < 0.35


def test_a_curve_keeps_its_order() -> None:
    angle = np.linspace(0, np.pi, 60)
    arc = MapElement("divider", np.stack([18 * np.cos(angle), 13 * np.sin(angle) - 5], 1))
    (found,) = vectorise(drawn(arc), GRID)
    assert apart(found, arc) < 0.08
    steps = np.diff(found.vertices_m[:, 0])
    assert (steps >= 0).all() or (steps <= 0).all()


def test_two_lines_that_cross_stay_two_straight_lines() -> None:
    truth = [line((-20, -8), (20, 8)), line((-20, 9), (20, -7))]
    found = vectorise(drawn(*truth), GRID)
    assert len(found) == 2
    assert all(min(apart(f, t) for f in found) < 0.15 for t in truth)


def test_a_line_that_ends_at_another_does_not_bend_it() -> None:
    through, ending = line((-20, 0), (20, 0)), line((2, 0), (2, 12))
    found = vectorise(drawn(through, ending), GRID)
    assert len(found) == 2 and min(apart(f, through) for f in found) < 0.15


def test_a_divider_goes_on_behind_a_boundary_drawn_over_it() -> None:
    divider, boundary = line((-20, 1), (20, 1), name="divider"), line((3, -12), (3, 12))
    found = [e for e in vectorise(drawn(divider, boundary), GRID) if e.class_name == "divider"]
    assert len(found) == 1 and apart(found[0], divider) < 0.1


def test_lines_further_apart_than_the_gap_stay_two() -> None:
    halves = line((-20, 1), (-4, 1)), line((4, 1), (20, 1))
    assert len(vectorise(drawn(*halves), GRID)) == 2
    assert len(vectorise(drawn(*halves), GRID, options=VectoriseOptions(max_gap_m=12.0))) == 1


def test_an_island_is_a_closed_ring() -> None:
    island = line((-6, -3), (6, -3), (7, 0), (6, 3), (-6, 3), closed=True)
    (found,) = vectorise(drawn(island), GRID)
    assert found.is_closed and apart(found, island) < 0.2


def test_a_crossing_is_a_polygon_with_sharp_corners_on_the_line_not_on_its_edge() -> None:
    corners = [(5, -6), (9, -6.5), (9.5, 6), (5.5, 6.5)]
    (found,) = vectorise(drawn(line(*corners, name="ped_crossing", closed=True)), GRID)
    assert found.is_closed and found.class_name == "ped_crossing"
    for corner in corners:
        assert np.linalg.norm(found.vertices_m - corner, axis=1).min() < 0.35


def test_crossings_that_share_a_side_stay_two_and_a_divider_inside_does_not_cut_them() -> None:
    one = line((0, -6), (4, -6), (4, 0), (0, 0), name="ped_crossing", closed=True)
    two = line((0, 0), (4, 0), (4, 6), (0, 6), name="ped_crossing", closed=True)
    divider = line((-20, 3), (20, 3), name="divider")
    found = [e for e in vectorise(drawn(one, two, divider), GRID) if e.class_name == "ped_crossing"]
    assert len(found) == 2 and all(min(apart(f, t) for f in found) < 0.15 for t in (one, two))


def test_a_crossing_with_a_kerb_over_its_short_sides_and_one_with_gaps_are_found() -> None:
    crossing = line((0, -6), (4, -6), (4, 6), (0, 6), name="ped_crossing", closed=True)
    kerbs = line((-20, -6), (20, -6)), line((-20, 6), (20, 6))
    layers = drawn(crossing, *kerbs)
    for probability in (layers, np.where(np.arange(400) % 400 == 215, 0, layers).astype(np.uint8)):
        found = [e for e in vectorise(probability, GRID) if e.class_name == "ped_crossing"]
        assert len(found) == 1 and apart(found[0], crossing) < 0.45


def test_the_middle_of_a_junction_is_no_crossing() -> None:
    sides = [((-10, -8), (-7, 8)), ((7, -8), (10, 8)), ((-8, -13), (8, -10)), ((-8, 10), (8, 13))]
    boxes = [
        line((x0, y0), (x1, y0), (x1, y1), (x0, y1), name="ped_crossing", closed=True) for (x0, y0), (x1, y1) in sides
    ]
    corners = [line((x, y), (x * 0.7, y * 1.3)) for x in (-9, 9) for y in (-9, 9)]
    found = [e for e in vectorise(drawn(*boxes, *corners), GRID) if e.class_name == "ped_crossing"]
    assert len(found) == 4


def test_embeddings_part_lines_that_touch() -> None:
    pair = line((-20, 0.3), (20, 0.3)), line((-20, -0.3), (20, -0.3))  # four cells apart, five cells wide
    probability, ids = drawn(*pair), instances(pair, GRID)
    assert len(vectorise(probability, GRID)) == 1
    embedding = np.stack([np.where(ids == 1, 3.0, 0.0), np.where(ids == 2, 3.0, 0.0)])
    found = vectorise(probability, GRID, embedding=embedding)
    assert len(found) == 2
    assert sorted(np.sign(e.vertices_m[:, 1].mean()) for e in found) == [-1, 1]


def test_noise_neither_breaks_lines_nor_makes_new_ones() -> None:
    rng = np.random.default_rng(3)
    truth = [line((-30, 6), (0, 4), (30, 7)), line((-30, -6), (30, -6))]
    probability = drawn(*truth) / 255 * 0.75 + 0.08
    noisy = np.clip(probability + rng.normal(0, 0.12, probability.shape), 0, 1)
    found = [e for e in vectorise(noisy, GRID) if e.class_name == "boundary"]
    assert len(found) == 2 and all(min(apart(f, t) for f in found) < 0.2 for t in truth)


def test_bytes_and_floats_agree_and_confidence_sorts() -> None:
    layers = drawn(line((-20, 5), (20, 5)), line((-20, -5), (20, -5), name="divider"))
    layers[0] = layers[0] // 2 + 20
    as_bytes, as_floats = vectorise(layers, GRID), vectorise(layers / 255, GRID)
    assert [e.class_name for e in as_bytes] == ["boundary", "divider"] == [e.class_name for e in as_floats]
    assert as_bytes[1].confidence == pytest.approx(147 / 255, abs=0.02)
    assert np.allclose(as_bytes[0].vertices_m, as_floats[0].vertices_m)


def test_nothing_full_and_damaged_input() -> None:
    assert vectorise(np.zeros((3, 200, 400), np.uint8), GRID) == ()
    vectorise(np.full((3, 200, 400), 255, np.uint8), GRID)
    damaged = drawn(line((-20, 5), (20, 5))) / 255
    damaged[0, :50] = np.nan
    assert len(vectorise(damaged, GRID)) == 1
    with pytest.raises(ValueError, match="shape"):
        vectorise(np.zeros((3, 200, 399), np.uint8), GRID)
    with pytest.raises(ValueError, match="int64"):
        vectorise(np.zeros((3, 200, 400), np.int64), GRID)


@pytest.mark.skipif(not ROADS.exists(), reason=f"the real road maps are not at {ROADS}")
def test_the_truth_of_real_roads_survives_the_round_trip() -> None:
    from mapkd_core.worlds.drive import pose_at
    from mapkd_core.worlds.road_map_file import load
    from mapkd_core.worlds.truth import local_elements

    accumulator = ChamferApAccumulator()
    for path in sorted(ROADS.glob("*.json.gz")):
        road_map = load(path)
        for time_s in (2.0, 12.0):
            truth = local_elements(road_map, pose_at(road_map, time_s), GRID)
            accumulator.add(vectorise(drawn(*truth), GRID), truth, road_map.labelled)
    ap = accumulator.ap()
    # Crossings that overlap in the truth, and lines nearer than their thickness, cannot be told apart in a raster.
    assert ap["divider"][0.5] > 0.9 and ap["boundary"][0.5] > 0.75 and ap["ped_crossing"][1.0] > 0.8
