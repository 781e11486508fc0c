# SPDX-License-Identifier: Apache-2.0
"""Rasteriser: pixel conventions worked by hand, and every cell against its distance to the line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mapkd_core.data.rasterise import directions, instances, layers, raster_targets, rasterise
from mapkd_core.grid import BevGrid
from mapkd_core.types import MapElement

GRID = BevGrid()
SMALL = BevGrid(0.0, 4.0, 0.0, 3.0, 0.1)


def line(*vertices: tuple[float, float], name: str = "divider", closed: bool = False) -> MapElement:
    return MapElement(name, np.array(vertices, float), closed)


def test_background_is_zero_and_the_array_is_rows_along_y() -> None:
    labels = rasterise([line((-30, 14), (30, 14))], GRID)
    assert labels.shape == (200, 400) and labels.dtype == np.uint8
    assert labels[:150].max() == 0 and labels[150:].max() == 1


@pytest.mark.parametrize("offset", [0.0, 0.02, 0.075, 0.1, 0.149])
def test_a_line_along_an_axis_is_five_cells_wide_wherever_it_lies_in_its_cell(offset: float) -> None:
    along_x = rasterise([line((-30, offset), (30, offset))], GRID)
    along_y = rasterise([line((offset, -15), (offset, 15))], GRID)
    assert set((along_x > 0).sum(0)) == {5}
    assert set((along_y > 0).sum(1)) == {5}


def test_the_centre_cell_of_a_line_is_the_one_that_holds_it() -> None:
    # y = 0.375 m is 102.5 cells above -15 m, the centre of row 102.
    rows = np.flatnonzero(rasterise([line((-30, 0.375), (30, 0.375))], GRID)[:, 200])
    assert rows.tolist() == [100, 101, 102, 103, 104]


def test_ends_are_round() -> None:
    drawn = np.argwhere(rasterise([line((1.05, 1.05), (2.05, 1.05))], SMALL) > 0)
    # Cell (10, 10) holds the first vertex; straight back two cells, at the corner one.
    assert drawn[:, 1].min() == 8
    assert [8, 8] not in drawn.tolist() and [10, 8] in drawn.tolist() and [9, 9] in drawn.tolist()


@example([(1.0, 0.0), (0.0, 0.0)], False, 3)
@example([(0.0, 1.0), (0.0, 0.0)], False, 3)
@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-1, 5), st.floats(-1, 4)), min_size=1, max_size=5),
    st.booleans(),
    st.sampled_from([1, 3, 5, 7]),
)
def test_a_cell_is_drawn_when_its_centre_is_near_the_line(vertices: list, closed: bool, thickness: int) -> None:
    element = line(*vertices, closed=closed)
    distance = _distance_in_cells(element, SMALL)
    if len(vertices) == 1 and not closed:  # no segment, nothing to draw
        distance[:] = np.inf
    drawn = rasterise([element], SMALL, thickness=thickness) > 0
    decided = np.abs(distance - thickness / 2) > 1e-3  # on the rim the half-open rule decides
    assert (drawn == (distance < thickness / 2))[decided].all()


def test_the_later_class_wins_whatever_the_order_of_the_elements() -> None:
    crossing = [(-3, -3), (3, -3), (3, 3), (-3, 3)]
    scene = [
        line((0, -10), (0, 10), name="boundary"),
        line((-10, 0), (10, 0)),
        line(*crossing, name="ped_crossing", closed=True),
    ]
    labels = rasterise(scene, GRID)
    assert np.array_equal(labels, rasterise(scene[::-1], GRID))
    columns, rows = np.floor(GRID.to_cells([(0, 0), (0, 3), (3, 0), (5, 0), (3, 3)]) + 0.5).astype(int).T
    assert labels[rows, columns].tolist() == [3, 3, 2, 1, 2]


def test_clear_overlap_leaves_a_gap_beside_the_later_class() -> None:
    scene = [line((-10, 0.075), (10, 0.075)), line((0.075, -10), (0.075, 10), name="boundary")]
    labels = rasterise(scene, GRID, clear_overlap=True)
    row = labels[100, 180:222].tolist()
    # 9 cells (5 + 4) around column 200 are cleared of the divider, 5 of them are boundary.
    assert row[:16] == [1] * 16 and row[16:18] == [0, 0] and row[18:23] == [3] * 5
    assert row[23:25] == [0, 0] and row[25:] == [1] * 17


def test_instances_agree_with_labels() -> None:
    scene = [line((0, -10), (0, 10), name="boundary"), line((-10, 0), (10, 0)), line((-10, 5), (10, 5))]
    ids, labels = instances(scene, GRID), rasterise(scene, GRID)
    assert ids.dtype == np.int32 and set(np.unique(ids)) == {0, 1, 2, 3}
    assert np.array_equal(np.array([0, 3, 1, 1])[ids], labels)


@pytest.mark.parametrize(("angle_deg", "expected"), [(0, 0), (45, 4), (95, 9), (179, 17), (180, 0), (225, 4), (-1, 17)])
def test_directions_are_bins_of_the_angle_modulo_half_a_turn(angle_deg: float, expected: int) -> None:
    tip = 10 * np.array([np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))])
    found = np.unique(directions([line((0, 0), tuple(tip))], GRID))
    assert found.tolist() == [0, expected + 1]


def test_layers_keep_every_class_where_two_meet() -> None:
    scene = [line((-10, 0), (10, 0)), line((0, -10), (0, 10), name="boundary")]
    stack = layers(scene, GRID)
    assert stack.shape == (3, 200, 400) and stack[0, 100, 200] and stack[2, 100, 200] and not stack[1].any()


def test_nothing_to_draw_is_background() -> None:
    assert not rasterise([], GRID).any()
    outside = raster_targets([line((100, 100), (200, 150))], GRID)
    assert not (outside.labels.any() or outside.instances.any() or outside.directions.any())


def test_bad_elements_are_named() -> None:
    with pytest.raises(ValueError, match="centreline"):
        rasterise([line((0, 0), (1, 1), name="centreline")], GRID)
    with pytest.raises(ValueError, match="finite"):
        rasterise([line((0, 0), (np.nan, 1))], GRID)


def _distance_in_cells(element: MapElement, grid: BevGrid) -> np.ndarray:
    """Distance of every cell centre to the line, the slow way."""
    vertices, centres = grid.to_cells(element.vertices_m), grid.to_cells(grid.centres())
    distance = np.full(grid.shape, np.inf)
    for i in range(len(vertices) if element.is_closed else len(vertices) - 1):
        a, b = vertices[i], vertices[(i + 1) % len(vertices)]
        t = np.clip((centres - a) @ (b - a) / max(((b - a) ** 2).sum(), 1e-12), 0, 1)
        distance = np.minimum(distance, np.linalg.norm(centres - a - t[..., None] * (b - a), axis=-1))
    return distance
