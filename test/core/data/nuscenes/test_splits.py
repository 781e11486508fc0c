# SPDX-License-Identifier: Apache-2.0
"""Official splits, files of splits, and splits that keep a distance."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapkd_core.data.nuscenes.geographic_split import geographic_split, nearest
from mapkd_core.data.nuscenes.splits import SHIPPED, read_splits, scenes_of


def test_official_splits_come_from_the_devkit(nuscenes_devkit):
    mini = ("scene-0061", "scene-0103", "scene-0553", "scene-0655", "scene-0757", "scene-0796", "scene-0916",
            "scene-1077", "scene-1094", "scene-1100")  # fmt: skip
    assert scenes_of("mini_val", mini) == ("scene-0103", "scene-0916")
    assert scenes_of("val", mini) == ("scene-0103", "scene-0553", "scene-0796", "scene-0916")
    with pytest.raises(ValueError, match="no split 'dev' in the official splits; there are train, val"):
        scenes_of("dev", mini)
    with pytest.raises(ValueError, match=r"split 'test' .* none of the 10 of this dataset; choose"):
        scenes_of("test", mini)


def test_a_set_has_splits_of_its_own(dataset):
    assert dataset.scenes("mapkd_val") == ("procedural-100000",)
    assert dataset.scenes() == dataset.scene_names


def test_streammapnets_split_ships_and_has_no_scene_twice():
    lists = read_splits(SHIPPED["streammapnet"])
    assert {name: len(scenes) for name, scenes in lists.items()} == {"train": 698, "val": 148, "calibration": 50}
    assert scenes_of("val", (lists["train"][0], lists["val"][3]), None, Path("streammapnet")) == (lists["val"][3],)


def test_streammapnets_file_is_parsed_and_never_run(tmp_path):
    path = tmp_path / "nusc_split.py"
    path.write_text(
        "import no_such_module\nTRAIN_SCENES = [\n  'scene-0001', \"scene-0002\"]\nVAL_SCENES = ['scene-0003']\n"
    )
    assert read_splits(path) == {"train": ("scene-0001", "scene-0002"), "val": ("scene-0003",)}
    path.write_text("TRAIN_SCENES = [open('x')]")
    with pytest.raises(ValueError, match="line 1: not a plain list"):
        read_splits(path)


def test_a_folder_of_texts_is_one_split_each(tmp_path, nuscenes_devkit):
    (tmp_path / "train.txt").write_text("scene-0002\nscene-0001\n\n")
    (tmp_path / "val.txt").write_text("scene-0003\n")
    splits = read_splits(tmp_path)
    assert splits == {"train": ("scene-0002", "scene-0001"), "val": ("scene-0003",)}
    assert scenes_of("train", ("scene-0001", "scene-0002", "scene-0003"), path=tmp_path) == ("scene-0001", "scene-0002")


@pytest.mark.parametrize(("text", "says"), [
    ('{"train": ["scene-0001"], "val": ["scene-0001"]}', "scene-0001 is in 'train' and in 'val'"),
    ('{"train": ["' + 32 * "a" + '"]}', "is no scene name"),
    ('{"about": 3}', "no split in it"),
    ("[]", "a list; want an object"),
    ("{", "no JSON"),
])  # fmt: skip
def test_bad_files_are_refused(tmp_path, text, says):
    path = tmp_path / "splits.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        read_splits(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.json: no such file of splits"):
        read_splits(tmp_path / "none.json")


def test_neighbours_across_a_cut_are_left_out():
    """Ten scenes of one position in a row, 50 m apart, cut in half: the training scene beside the cut goes."""
    tracks = {"boston-seaport": {f"scene-{i:04d}": np.array([[50.0 * i, 0.0]]) for i in range(10)}}
    split = geographic_split(tracks, distance_m=60.0, shares=(0.5, 0.0, 0.5), seed=1)
    assert len(split["test"]) == 5 and len(split["train"]) == 4 and len(split["left_out"]) == 1
    assert split["about"]["nearest_m"] == {"train-val": None, "train-test": 100.0, "val-test": None}
    assert geographic_split(tracks, 40.0, (0.5, 0.0, 0.5))["left_out"] == []


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.floats(0, 200))
def test_splits_keep_their_distance(seed, distance_m):
    rng = np.random.default_rng(seed)
    tracks = {
        city: {f"{city}-{i}": rng.uniform(0, 1000, 2) + rng.normal(0, 20, (4, 2)).cumsum(0) for i in range(8)}
        for city in ("a", "b")
    }
    split = geographic_split(tracks, distance_m, seed=seed % 7)
    of = {scene: name for name, scenes in split.items() if isinstance(scenes, list) for scene in scenes}
    assert sorted(of) == sorted(scene for city in tracks.values() for scene in city)
    assert all(gap is None or gap >= distance_m - 0.01 for gap in nearest(tracks, of).values())
    assert split == geographic_split(tracks, distance_m, seed=seed % 7)


def test_worlds_of_one_city_are_far_enough_apart(dataset, tmp_path, nuscenes_devkit):
    split = geographic_split(dataset.tracks(), 100.0, (0.5, 0.0, 0.5))
    path = tmp_path / "geographic.json"
    path.write_text(json.dumps(split))
    assert split["left_out"] == [] and split["about"]["nearest_m"]["train-test"] > 100
    test, train = dataset.scenes("test", path), dataset.scenes("train", path)
    assert set(test) | set(train) == set(dataset.scene_names) and not set(test) & set(train)


def test_shares_must_be_shares():
    with pytest.raises(ValueError, match=r"must sum to 1"):
        geographic_split({}, shares=(0.5, 0.1, 0.1))
