# SPDX-License-Identifier: Apache-2.0
"""Samples come back from disk as they went, one world at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mapkd_core.data.samples import SEEN_GRID, Sample, SampleFolder, write
from mapkd_core.types import CLASSES, MapElement


def test_round_trip_of_two_worlds(tmp_path, make_sample):
    empty = Sample(make_sample(0.5).prepared, ())
    worlds = {"a": [make_sample(0.0), empty, make_sample(0.3)], "b": [make_sample(-0.4)]}
    for name, samples in worlds.items():
        write(tmp_path, name, samples)
    folder = SampleFolder(tmp_path)
    assert len(folder) == 4
    for i, wanted in enumerate(worlds["a"] + worlds["b"]):
        found = folder[i]
        np.testing.assert_array_equal(found.prepared.images, wanted.prepared.images)
        np.testing.assert_array_equal(found.prepared.K, wanted.prepared.K)
        np.testing.assert_array_equal(found.prepared.ego_T_camera, wanted.prepared.ego_T_camera)
        assert found.prepared.valid.all()
        assert [(e.class_name, e.is_closed) for e in found.elements] == [
            (e.class_name, e.is_closed) for e in wanted.elements
        ]
        for f, w in zip(found.elements, wanted.elements):
            np.testing.assert_allclose(f.vertices_m, w.vertices_m, atol=1e-6)


def test_light_and_seen_ground_come_back_and_may_be_unknown(tmp_path, make_sample):
    seen = np.random.default_rng(0).random(SEEN_GRID.shape) < 0.5
    write(tmp_path, "a", [replace(make_sample(), light="night", seen=seen), replace(make_sample(), seen=~seen)])
    write(tmp_path, "b", [replace(make_sample(), seen=seen), make_sample()])  # one of two: no mask for this world
    first, second, third, fourth = SampleFolder(tmp_path)
    assert (first.light, second.light) == ("night", "") and first.seen.dtype == bool
    np.testing.assert_array_equal(first.seen, seen)
    np.testing.assert_array_equal(second.seen, ~seen)
    assert third.seen is None and fourth.seen is None


def test_which_classes_truth_tells_of_comes_back(tmp_path, make_sample):
    write(tmp_path, "a", [make_sample()])
    write(tmp_path, "b", [replace(make_sample(), labelled=("divider", "boundary")), make_sample()])
    assert "labelled" not in np.load(tmp_path / "a.truth.npz"), "sets that label all are written as before"
    assert [sample.labelled for sample in SampleFolder(tmp_path)] == [CLASSES, ("divider", "boundary"), CLASSES]


def test_a_folder_of_before_light_and_seen_ground_is_read(tmp_path, make_sample):
    write(tmp_path, "a", [make_sample()])
    truth = dict(np.load(tmp_path / "a.truth.npz"))
    np.savez(tmp_path / "a.truth.npz", **{key: truth[key] for key in truth if key not in ("light", "seen")})
    assert SampleFolder(tmp_path)[0].light == "" and SampleFolder(tmp_path)[0].seen is None


def test_picture_handed_out_is_not_the_file(tmp_path, make_sample):
    write(tmp_path, "a", [make_sample()])
    folder = SampleFolder(tmp_path)
    folder[0].prepared.images[:] = 0
    assert folder[0].prepared.images.any()


def test_world_half_written_is_not_seen(tmp_path, make_sample):
    write(tmp_path, "a", [make_sample()])
    write(tmp_path, "b", [make_sample()])
    (tmp_path / "b.truth.npz").unlink()  # written last: a kill leaves a world without it
    assert SampleFolder(tmp_path).names == ["a"]


def test_world_without_any_element(tmp_path, make_sample):
    write(tmp_path, "a", [replace(make_sample(), elements=())])
    assert SampleFolder(tmp_path)[0].elements == ()


def test_nothing_pickled_is_read(tmp_path, make_sample):
    write(tmp_path, "a", [make_sample()])
    np.savez(tmp_path / "a.truth.npz", counts=np.array([{"not": "an array"}], object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        SampleFolder(tmp_path)


def test_folder_without_samples_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no samples"):
        SampleFolder(tmp_path)


def _with_everything(sample: Sample, points: int) -> Sample:
    rng = np.random.default_rng(points)
    cloud = np.column_stack([rng.uniform(-39, 39, (points, 3)), rng.integers(0, 256, points), -rng.random(points)])
    sd = (MapElement("road", np.array([(-20.0, 3.0), (25.0, 4.0)])),)
    return replace(sample, points=cloud.astype(np.float32), sd=sd, hd=sample.elements[:1])


def test_points_and_priors_come_back(tmp_path, make_sample):
    samples = [
        _with_everything(make_sample(), 50),
        _with_everything(make_sample(0.3), 0),
        _with_everything(make_sample(), 7),
    ]
    write(tmp_path, "a", samples)
    folder = SampleFolder(tmp_path)
    for i, wanted in enumerate(samples):
        found = folder[i]
        assert found.points.shape == wanted.points.shape
        np.testing.assert_allclose(found.points[:, :3], wanted.points[:, :3], atol=0.0026)
        np.testing.assert_allclose(found.points[:, 3:], wanted.points[:, 3:], atol=0.0006)
        assert [e.class_name for e in found.sd] == ["road"] and [e.class_name for e in found.hd] == ["divider"]
        np.testing.assert_allclose(found.sd[0].vertices_m, wanted.sd[0].vertices_m)


def test_world_with_points_in_some_frames_is_refused(tmp_path, make_sample):
    with pytest.raises(ValueError, match="world a: 1 of 2 frames have points"):
        write(tmp_path, "a", [_with_everything(make_sample(), 5), make_sample()])
