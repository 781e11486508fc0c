# SPDX-License-Identifier: Apache-2.0
"""Samples to tensors: clipped, resampled, drawn; hand-worked on a grid of 12 x 6 m."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mapkd_core.config import ModelConfig, TrainConfig
from mapkd_core.data.batch import MAX_ELEMENTS, TrainingSet, clip, collate, normalise, resample, to_batch
from mapkd_core.data.samples import Sample, write
from mapkd_core.grid import BevGrid
from mapkd_core.models.lidar import NO_POINT_M
from mapkd_core.types import MapElement

GRID = BevGrid(-6.0, 6.0, -3.0, 3.0, 0.15)


def _square(x: float, y: float, side: float) -> np.ndarray:
    return np.array([(x, y), (x + side, y), (x + side, y + side), (x, y + side)])


def test_line_that_leaves_and_returns_is_two_lines():
    line = MapElement("divider", np.array([(-5, 0), (-2, 0), (-2, 5), (2, 5), (2, 0), (5, 0)], float))
    parts = clip(line, GRID)
    assert len(parts) == 2 and not any(p.is_closed for p in parts)
    ends = {tuple(np.round(p.vertices_m[i], 6)) for p in parts for i in (0, -1)}
    assert ends == {(-5.0, 0.0), (-2.0, 3.0), (2.0, 3.0), (5.0, 0.0)}


def test_corner_cut_below_a_metre_is_dropped():
    assert clip(MapElement("divider", np.array([(5.5, 4.0), (5.5, 2.5)])), GRID) == []


def test_crossing_cut_by_the_range_stays_closed():
    (part,) = clip(MapElement("ped_crossing", _square(4.0, -1.0, 4.0), True), GRID)
    assert part.is_closed and len(part.vertices_m) == 4
    np.testing.assert_allclose(part.vertices_m.min(0), (4, -1))
    np.testing.assert_allclose(part.vertices_m.max(0), (6, 3))


def test_ring_inside_stays_a_ring_and_a_cut_one_opens():
    (inside,) = clip(MapElement("boundary", _square(-1.0, -1.0, 2.0), True), GRID)
    assert inside.is_closed and len(inside.vertices_m) == 4
    (cut,) = clip(MapElement("boundary", _square(4.0, -1.5, 4.0), True), GRID)
    assert not cut.is_closed
    assert np.linalg.norm(np.diff(cut.vertices_m, axis=0), axis=1).sum() == pytest.approx(2 + 2 + 4)


def test_element_outside_is_gone():
    assert clip(MapElement("divider", np.array([(20.0, 0.0), (30.0, 0.0)])), GRID) == []
    assert clip(MapElement("ped_crossing", _square(20.0, 0.0, 3.0), True), GRID) == []


def test_open_line_is_resampled_from_end_to_end():
    line = MapElement("divider", np.array([(0, 0), (1, 0), (1, 3)], float))
    np.testing.assert_allclose(resample(line, 5), [(0, 0), (1, 0), (1, 1), (1, 2), (1, 3)])


def test_closed_one_is_resampled_around_without_its_first_vertex_twice():
    ring = MapElement("ped_crossing", _square(0, 0, 1.0), True)
    np.testing.assert_allclose(
        resample(ring, 8), [(0, 0), (0.5, 0), (1, 0), (1, 0.5), (1, 1), (0.5, 1), (0, 1), (0, 0.5)]
    )


def test_corners_of_the_range_are_zero_and_one():
    np.testing.assert_allclose(normalise(np.array([(-6, -3), (6, 3), (0, 0)]), GRID), [(0, 0), (1, 1), (0.5, 0.5)])


def test_batch_of_a_sample(make_sample, tiny):
    batch = to_batch(make_sample(), TrainConfig(model=tiny))
    assert batch.images.shape == (1, 6, 3, 64, 96) and batch.images.dtype == torch.uint8
    assert batch.plan.shape == (1, 1, 20, 40, 2) and batch.plan.dtype == torch.float32
    assert batch.labels.shape == batch.instances.shape == (1, 40, 80)
    assert batch.element_points.shape == (1, MAX_ELEMENTS, 10, 2)
    assert batch.element_classes[0, :4].tolist() == [0, 1, 2, -1]
    assert batch.element_closed[0, :3].tolist() == [False, True, False]
    # The divider at y = 1 lies in row (1 + 3) / 0.15 = 26.7 and runs along x: 2a = 0, within half a bin.
    assert (batch.labels[0, 26, :60] == 1).all()
    assert batch.direction[0, 0, 26, 5] == pytest.approx(np.cos(np.pi / 18), abs=1e-5)
    assert not batch.direction[0, :, 20, 5].any()
    first = batch.element_points[0, 0]
    np.testing.assert_allclose(first[:, 1], 4 / 6, atol=1e-6)
    np.testing.assert_allclose(first[:, 0], np.linspace(0, 1, 10), atol=1e-6)


def test_three_dimensional_plan_has_a_layer_per_height(make_sample, tiny):
    batch = to_batch(make_sample(), TrainConfig(model=replace(tiny, heights=(0.0, 0.5, 1.0))))
    assert batch.plan.shape == (1, 3, 20, 40, 2)


def test_splat_plan_has_a_cell_per_frustum_point(make_sample, tiny):
    batch = to_batch(make_sample(), TrainConfig(model=replace(tiny, view="lift_splat")))
    assert batch.plan.shape[:2] == (1, 6) and batch.plan.shape[3:] == (8, 12)
    assert batch.plan.max() <= 10 * 20  # one past the last cell of the splat grid


def test_more_elements_than_places_are_cut(make_sample, tiny):
    many = tuple(MapElement("divider", np.array([(-5, y), (5, y)])) for y in np.linspace(-2.5, 2.5, MAX_ELEMENTS + 9))
    batch = to_batch(Sample(make_sample().prepared, many), TrainConfig(model=tiny))
    assert (batch.element_classes == 0).all()


def test_frame_without_truth(make_sample, tiny):
    batch = to_batch(Sample(make_sample().prepared, ()), TrainConfig(model=tiny))
    assert not batch.labels.any() and (batch.element_classes == -1).all()


def test_training_set_is_repeatable_and_changes_with_the_epoch(tmp_path, make_sample, tiny):
    write(tmp_path, "a", [make_sample(0.0), make_sample(0.4)])
    config = TrainConfig(model=tiny)
    one, two = TrainingSet(tmp_path, config), TrainingSet(tmp_path, config)
    assert torch.equal(one[1].images, two[1].images) and torch.equal(one[1].plan, two[1].plan)
    two.epoch = 1
    assert not torch.equal(one[1].plan, two[1].plan)


def test_batches_of_one_join(make_sample, tiny):
    config = TrainConfig(model=tiny)
    joined = collate([to_batch(make_sample(0.0), config), to_batch(make_sample(0.4), config)])
    assert joined.images.shape[0] == joined.plan.shape[0] == joined.element_points.shape[0] == 2
    assert not torch.equal(joined.labels[0], joined.labels[1])


def test_default_sizes_are_the_papers():
    config = ModelConfig()
    assert (config.image_height, config.image_width, config.grid.shape) == (128, 352, (200, 400))
    assert config.decoder_grid.shape == (100, 200)


def test_what_a_learner_loses_its_teachers_keep(make_sample):
    """LiDAR of the first frame, the HD prior of the second."""
    config = TrainConfig(ModelConfig(grid=GRID, modalities=("camera", "lidar", "sd", "hd")))
    sample = make_sample(0.0)
    road = (MapElement("road", np.array([(-6.0, 0.0), (6.0, 0.0)])),)
    rich = replace(sample, points=np.ones((7, 5), np.float32), sd=road, hd=sample.elements)
    batch = collate([to_batch(rich, config), to_batch(rich, config)])
    lost = torch.tensor([[True, False, False], [False, False, True]])
    images, plan, points, sd, hd, _ = replace(batch, lost=lost).learner_inputs()
    assert images is batch.images and plan is batch.plan and torch.equal(sd, batch.sd)
    assert (points[0, :, 0] == NO_POINT_M).all() and torch.equal(points[1], batch.points[1])
    assert torch.equal(hd[0], batch.hd[0]) and batch.hd[1].any() and not hd[1].any()
    assert (batch.points == 1).all(), "what teachers get is not touched"
    assert all(a is b for a, b in zip(batch.learner_inputs(), batch.inputs())), "outside of a training set"
