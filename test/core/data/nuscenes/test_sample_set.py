# SPDX-License-Identifier: Apache-2.0
"""Training samples from a set in nuScenes' format: what is in them, where truth lies, going on, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import shapely

from mapkd_core.cli import main
from mapkd_core.commands import nuscenes_samples
from mapkd_core.config import TrainConfig, load
from mapkd_core.data import set_manifest
from mapkd_core.data.batch import TrainingSet, to_batch
from mapkd_core.data.fit import check_apart
from mapkd_core.data.nuscenes import RULES, NuScenesSet
from mapkd_core.data.nuscenes_worlds.map_records import MapRecords
from mapkd_core.data.prepare import prepare
from mapkd_core.data.reduced import reduction_for
from mapkd_core.data.samples import SampleFolder
from mapkd_core.geometry import apply_planar
from mapkd_core.grid import RANGES


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A paper's augmentation, which is none, and small pictures."""
    path = tmp_path_factory.mktemp("settings") / "still.yaml"
    path.write_text("mirror: false\nturn: 0.0\nshift: 0.0\nmodel: {image_height: 64, image_width: 96}\n")
    return path


@pytest.fixture(scope="module")
def make(written, nuscenes_devkit, settings):
    """Runs the command; returns its exit code."""

    def run(out, *more: object, split: str = "mapkd_val", root=written) -> int:
        given = ["--split", split, "--out", out, "--config", settings, "--workers", 1, *more]
        return main(["nuscenes", "samples", *map(str, [root, *given])])

    return run


@pytest.fixture(scope="module")
def whole(make, tmp_path_factory):
    """Both test scenes by two processes, with all that there is."""
    out = tmp_path_factory.mktemp("samples") / "test"
    more = ["--rules", "maptr", "--range", "120x60", "--sweeps", "2", "--hd", "aged", "--workers", "2"]
    assert make(out, *more, split="mapkd_test") == 0
    return out


def test_samples_are_what_the_reader_gives(whole, dataset, settings):
    folder, config = SampleFolder(whole), load(TrainConfig, settings)
    tokens = [token for scene in sorted(dataset.scenes("mapkd_test")) for token in dataset.sample_tokens(scene)]
    assert folder.names == sorted(dataset.scenes("mapkd_test")) and len(folder) == len(tokens) == 4
    assert folder.modalities == {"camera", "lidar", "sd", "hd"}
    assert folder.reach().bounds == folder.reach(of_layers=True).bounds == (-60.0, -30.0, 60.0, 30.0)
    for i in (0, 3):
        frame = dataset.frame(tokens[i], 2, reduction_for(config.model))
        expected = prepare(frame, config.model)
        np.testing.assert_array_equal(folder[i].prepared.images, expected.images)
        np.testing.assert_array_equal(folder[i].prepared.ego_T_camera, expected.ego_T_camera)
        truth = dataset.truth(tokens[i], RANGES["120x60"], "maptr")
        _assert_same(folder[i].elements, truth)
        _assert_same(folder[i].sd, dataset.sd_prior(tokens[i], RANGES["120x60"]))
        x, y, _, _, age = folder[i].points.T
        inside = frame.points[(np.abs(frame.points[:, 0]) < 60) & (np.abs(frame.points[:, 1]) < 30)]
        assert len(x) == (inside[:, 2] < 4).sum() and np.abs(x).max() > 40 and np.abs(y).max() <= 30
        np.testing.assert_allclose(np.unique(age), [-0.05, 0.0], atol=1e-6)
        assert folder[i].hd and max(np.abs(e.vertices_m[:, 0]).max() for e in folder[i].hd) <= 60


def _assert_same(found, expected):
    assert [(e.class_name, e.is_closed) for e in found] == [(e.class_name, e.is_closed) for e in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.vertices_m, other.vertices_m, atol=1e-5)


def test_an_hd_prior_of_another_map_is_that_map(make, written, dataset, tmp_path):
    """The map itself given as the other one: the prior is then our truth."""
    assert make(tmp_path / "val", "--hd", written, "--sweeps", "0", "--range", "60x30") == 0
    token = next(dataset.sample_tokens(dataset.scenes("mapkd_val")[0]))
    sample = SampleFolder(tmp_path / "val")[0]
    _assert_same(sample.hd, dataset.truth(token, RANGES["60x30"]))
    assert sample.points is None


# Column and row by hand: (x - x_min) / cell and (y - y_min) / cell, rounded down, of a divider at y = 2, of the road's
# edges at y = 8 and y = -8, and the column of a place where the divider has ended.
CELLS = {
    "60x30": (366, 113, 153, 46, None),  # x = 25 m; the divider goes on beyond the range
    "120x60": (366, 106, 126, 73, 390),  # x = 50 m, and 57
    "240x60": (566, 106, 126, 73, 590),
    "100x50": (396, 108, 132, 68, None),  # x = 49.1 m, the range ends at 50
}


@pytest.mark.parametrize("name", RANGES)
def test_truth_far_ahead_lies_in_the_right_cell(make, copy, tmp_path, name, settings):
    _draw(copy)
    assert make(tmp_path / "out", "--rules", "hdmapnet", "--range", name, "--sweeps", "0", root=copy) == 0
    config = load(TrainConfig, settings)
    config = replace(config, model=replace(config.model, grid=RANGES[name]))
    batch = to_batch(TrainingSet(tmp_path / "out", config).samples[0], config)
    labels = batch.labels[0].numpy()
    column, divider, left, right, ended = CELLS[name]
    assert labels[divider, column] == 1 and labels[left, column] == 3 and labels[right, column] == 3
    assert set(labels[:, column]) == {0, 1, 3} and labels[(divider + left) // 2, column] == 0
    middle = np.flatnonzero(labels[:, column] == 1).mean()
    assert abs((middle + 0.5) * RANGES[name].cell + RANGES[name].y_min - 2) <= RANGES[name].cell / 2 + 1e-6
    if ended:
        assert labels[divider, ended] == 0 and labels[left, ended] == 3


def _draw(root) -> None:
    """Another map for the validation scene: a straight road and one divider, told in the ego frame of its first sample.

    Without manifest the set is as a real one.
    """
    dataset = NuScenesSet(root)
    scene = dataset.scenes("mapkd_val")[0]
    pose = dataset.planar_pose(next(dataset.sample_tokens(scene)))
    path = root / "maps" / "expansion" / f"{dataset.location(scene)}.json"
    records = MapRecords("by-hand")
    road = apply_planar(pose, shapely.get_coordinates(shapely.box(-300, -8, 300, 8))[:-1])
    records.add("road_segment", polygon_token=records.add_polygon(shapely.Polygon(road)))
    records.add("lane_divider", line_token=records.add_line(apply_planar(pose, np.array([(10.0, 2.0), (55.0, 2.0)]))))
    old = json.loads(path.read_text())
    path.write_text(json.dumps({"version": "1.3", "canvas_edge": old["canvas_edge"], **records.content}))


def test_an_interrupted_set_goes_on_and_a_whole_one_is_kept(make, whole, tmp_path, capsys):
    """A killed run leaves the partial folder with a scene: that scene is not written again."""
    out, aside = tmp_path / "test", tmp_path / ".test.partial"
    shutil.copytree(whole, aside)
    manifest = set_manifest.read(aside)
    begun = {k: v for k, v in manifest.items() if k not in ("files", "frames", "modalities")}
    (aside / "set.json").write_text(json.dumps(begun))
    (aside / "manifest.json").unlink()
    first, second = manifest["scenes"]
    (aside / f"{second}.truth.npz").unlink()
    kept = (aside / f"{first}.images.npy").stat().st_mtime_ns
    more = ["--rules", "maptr", "--range", "120x60", "--sweeps", "2", "--hd", "aged"]
    assert make(out, *more, split="mapkd_test") == 0
    assert not aside.exists() and (out / f"{first}.images.npy").stat().st_mtime_ns == kept
    assert set_manifest.read(out)["files"] == manifest["files"]  # the same bytes, by one process or two
    assert make(out, *more, split="mapkd_test") == 0  # verified and kept
    assert make(out, *more, split="mapkd_val") == 1
    assert "was made with split = mapkd_test, now it is mapkd_val; remove it" in capsys.readouterr().err
    (out / f"{second}.points.npy").write_bytes(b"")
    assert make(out, *more, split="mapkd_test") == 1
    assert f"{second}.points.npy is changed; remove" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--sd", "nowhere"], "no SD map of singapore-onenorth; export its `highway` ways"),
        (["--sweeps", "21"], "sweeps = 21: 0 for no LiDAR, or 1 to 20"),
        (["--split", "night"], "no split 'night' in the official splits"),
        (["--hd", "nowhere"], "no such map; unpack nuScenes-map-expansion"),
    ],
)
def test_what_cannot_be_written_is_refused(make, tmp_path, capsys, more, message):
    assert make(tmp_path / "out", *more) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_modality_of_the_settings_that_will_be_missing_is_refused(make, tmp_path, capsys):
    path = tmp_path / "lidar.yaml"
    path.write_text("model: {modalities: [camera, lidar]}\n")
    assert make(tmp_path / "out", "--config", path, "--sweeps", "0") == 1
    assert "asks for lidar, but the samples will have none: give --sweeps 3" in capsys.readouterr().err


def test_scenes_in_both_sets_are_refused(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "again")
    with pytest.raises(ValueError, match=r"split 'mapkd_test' of .* share 2 scenes, the first is procedural-200000"):
        check_apart(SampleFolder(whole), SampleFolder(tmp_path / "again"))
    check_apart(SampleFolder(whole), SampleFolder(whole))


def test_the_command_knows_the_same_rules_and_ranges():
    assert set(nuscenes_samples.RULES) == set(RULES) and tuple(RANGES) == nuscenes_samples.RANGES
