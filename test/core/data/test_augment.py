# SPDX-License-Identifier: Apache-2.0
"""Augmentation keeps pictures, calibration and truth in agreement, but for the two that say they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mapkd_core import geometry
from mapkd_core.config import TrainConfig
from mapkd_core.data.augment import augment, disturb, lose_cameras, mirror, move, recolour


def _pixels(sample, camera: int):
    """Where the calibration says the truth's vertices are, and which lie in front."""
    xy = np.concatenate([e.vertices_m for e in sample.elements])
    xyz = np.column_stack([xy, np.zeros(len(xy))])
    p = sample.prepared
    uv, depth = geometry.project(xyz, p.K[camera], p.ego_T_camera[camera])
    return uv, depth > 0.5


def test_mirrored_truth_lies_on_the_mirrored_picture(make_sample):
    sample = make_sample()
    changed = mirror(sample)
    width = sample.prepared.images.shape[-1]
    np.testing.assert_array_equal(changed.prepared.images, sample.prepared.images[..., ::-1])
    for camera in range(6):
        (before, seen), (after, seen_after) = _pixels(sample, camera), _pixels(changed, camera)
        np.testing.assert_array_equal(seen, seen_after)
        wanted = np.column_stack([width - 1 - before[seen][:, 0], before[seen][:, 1]])
        np.testing.assert_allclose(after[seen], wanted, atol=1e-6)


def test_mirrored_mounting_is_still_a_rotation(make_sample):
    for pose in mirror(make_sample()).prepared.ego_T_camera:
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
        assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)


def test_mirroring_twice_is_nothing(make_sample):
    sample = make_sample()
    again = mirror(mirror(sample))
    np.testing.assert_array_equal(again.prepared.images, sample.prepared.images)
    np.testing.assert_allclose(again.prepared.K, sample.prepared.K)
    np.testing.assert_allclose(again.prepared.ego_T_camera, sample.prepared.ego_T_camera)


def test_left_is_right_in_the_mirror(make_sample):
    divider = mirror(make_sample(0.5)).elements[0]
    np.testing.assert_allclose(divider.vertices_m[:, 1], -1.5)


def test_moved_truth_stays_on_its_pixels(make_sample):
    sample = make_sample()
    changed = move(sample, geometry.planar(0.7, -0.4, 0.12))
    assert changed.prepared.images is sample.prepared.images
    for camera in range(6):
        (before, seen), (after, _) = _pixels(sample, camera), _pixels(changed, camera)
        np.testing.assert_allclose(after[seen], before[seen], atol=1e-6)
    # 1 m left of the old ego frame is 1.4 m left and a little ahead of one that stands 0.4 m right of it.
    wanted = geometry.apply_planar(geometry.inverse(geometry.planar(0.7, -0.4, 0.12)), sample.elements[0].vertices_m)
    np.testing.assert_allclose(changed.elements[0].vertices_m, wanted)


def test_disturbing_turns_what_is_told_by_the_stated_angle(make_sample):
    prepared = make_sample().prepared
    rng = np.random.default_rng(1)
    turned = []
    for _ in range(200):
        told = disturb(prepared, 0.004, rng)
        relative = told.ego_T_camera[:, :3, :3] @ prepared.ego_T_camera[:, :3, :3].transpose(0, 2, 1)
        turned.append(np.stack([relative[:, 2, 1], relative[:, 0, 2], relative[:, 1, 0]], -1))  # roll pitch yaw
    deviation = np.std(turned, axis=(0, 1))
    np.testing.assert_allclose(deviation, (0.00447, 0.00447, 0.002), rtol=0.2)  # yaw has no common part
    np.testing.assert_array_equal(told.ego_T_camera[:, :3, 3], prepared.ego_T_camera[:, :3, 3])
    assert told.images is prepared.images


def test_nothing_is_disturbed_at_zero(make_sample):
    prepared = make_sample().prepared
    told = disturb(prepared, 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(told.ego_T_camera, prepared.ego_T_camera, atol=1e-15)


@pytest.mark.parametrize(("count", "left"), [(0, 6), (1, 5), (2, 4), (9, 1)])
def test_lost_cameras_are_black_and_said_so(make_sample, count, left):
    prepared = lose_cameras(make_sample().prepared, count, np.random.default_rng(3))
    assert prepared.valid.sum() == left
    assert not prepared.images[~prepared.valid].any()
    assert all(image.any() for image in prepared.images[prepared.valid])


def test_losing_cameras_leaves_the_sample_alone(make_sample):
    sample = make_sample()
    lose_cameras(sample.prepared, 2, np.random.default_rng(3))
    assert sample.prepared.valid.all() and all(image.any() for image in sample.prepared.images)


def test_recolouring_changes_values_and_nothing_else(make_sample):
    prepared = lose_cameras(make_sample().prepared, 1, np.random.default_rng(0))
    changed = recolour(prepared, np.random.default_rng(5))
    assert (changed.images != prepared.images).mean() > 0.3
    assert not changed.images[~changed.valid].any()
    # The order of brightness survives: a table per channel, no mixing of places.
    for old, new in zip(prepared.images[prepared.valid], changed.images[prepared.valid]):
        order = np.argsort(old[0], axis=None)
        assert (np.diff(new[0].reshape(-1)[order].astype(int)) >= 0).all()


def test_variant_depends_on_the_generator_alone(make_sample):
    config, sample = TrainConfig(), make_sample()
    first, again, other = (augment(sample, config, np.random.default_rng(seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.prepared.images, again.prepared.images)
    np.testing.assert_array_equal(first.prepared.ego_T_camera, again.prepared.ego_T_camera)
    assert (first.prepared.ego_T_camera != other.prepared.ego_T_camera).any()


@pytest.mark.parametrize("change", [mirror, lambda s: move(s, geometry.planar(0.7, -0.4, 0.12))])
def test_points_and_priors_go_with_the_truth(make_sample, change):
    """A point on every vertex of the truth, and the truth as a prior: they stay together."""
    sample = make_sample()
    vertices = np.concatenate([e.vertices_m for e in sample.elements])
    points = np.column_stack([vertices, np.zeros(len(vertices)), np.arange(len(vertices)), np.zeros(len(vertices))])
    changed = change(replace(sample, points=points.astype(np.float32), sd=sample.elements, hd=sample.elements[:1]))
    wanted = np.concatenate([e.vertices_m for e in changed.elements])
    assert np.abs(wanted - vertices).max() > 0.3
    np.testing.assert_allclose(changed.points[:, :2], wanted, atol=1e-5)
    np.testing.assert_array_equal(changed.points[:, 2:], points[:, 2:])
    np.testing.assert_array_equal(changed.hd[0].vertices_m, changed.elements[0].vertices_m)
    assert len(changed.sd) == len(changed.elements)
