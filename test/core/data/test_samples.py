# SPDX-License-Identifier: Apache-2.0
"""Samples come back from disk as they went, one world at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mapkd_core.data.samples import Sample, SampleFolder, write


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
