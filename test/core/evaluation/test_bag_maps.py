# SPDX-License-Identifier: Apache-2.0
"""A fleet's bags become files of maps: those of `Mapper`, once, whatever breaks on the way."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mapkd_core import cli
from mapkd_core.bag_maps import BagMaps, map_bags
from mapkd_core.bags.read import BagDrive
from mapkd_core.bags.write import BagWriter, encode_jpeg
from mapkd_core.data.reduced import reduction_for
from mapkd_core.evaluation.map_files import read_maps
from mapkd_core.evaluation.map_files.maps import write_maps
from mapkd_core.mapper import Mapper
from mapkd_core.types import Frame


@pytest.fixture
def predict(weights, tmp_path, capsys):
    """Exit code and summary of `mapkd predict --bags` into tmp_path/maps."""

    def run(bags, *more):
        chosen = ["--weights", str(weights), "--backend", "torch", "--workers", "1", "--out", str(tmp_path / "maps")]
        code = cli.main(["predict", "--bags", *map(str, bags), *chosen, "--json", *more])
        said = capsys.readouterr()
        return code, json.loads(said.out) if not code else said.err

    return run


def test_maps_are_those_of_the_mapper_and_can_be_scored(bags, weights, predict, tmp_path, capsys):
    code, summary = predict(bags[:1])
    assert code == 0 and summary["frames"] == 4
    found = read_maps(tmp_path / "maps" / "a.json", True)
    mapper = Mapper(weights, "torch")
    with BagDrive(bags[0], reduction=reduction_for(mapper.config)) as drive:
        expected = {f"a-{f.stamp_ns}": mapper.predict(f).elements for f in drive.frames()}
        truth = {f"a-{stamp}": t.elements for stamp, t in drive.truth().items()}
    assert list(found.frames) == list(expected) and found.scenes == {"a": tuple(expected)}
    for token, elements in expected.items():
        assert [e.class_name for e in found.frames[token]] == [e.class_name for e in elements] and elements
        for a, b in zip(found.frames[token], elements):
            np.testing.assert_allclose(a.vertices_m, b.vertices_m, atol=1e-4)
            assert a.confidence == pytest.approx(b.confidence) and a.is_closed == b.is_closed
    write_maps(tmp_path / "truth.json", truth, with_score=False)
    files = [str(tmp_path / "truth.json"), str(tmp_path / "maps" / "a.json")]
    assert cli.main(["score", *files, "--range", "12x6", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["frames"] == 3 and not report["frames_without_prediction"] and sum(report["detections"].values()) > 0


def test_what_is_there_is_not_mapped_again(bags, predict, tmp_path):
    """Unless it is gone, or was made in another way."""
    predict(bags)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "maps").iterdir()}
    assert sorted(before) == ["a.json", "b.json", "c.json"]
    (tmp_path / "maps" / "b.json").unlink()
    code, summary = predict(bags)
    assert code == 0 and summary["frames"] == 4 + 3 + 2
    assert {name: bag["was_there"] for name, bag in summary["bags"].items()} == {"a": True, "b": False, "c": True}
    assert (tmp_path / "maps" / "a.json").stat().st_mtime_ns == before["a.json"]
    code, summary = predict(bags[:1], "--frames", "2")
    assert summary["bags"]["a"] == {"frames": 2, "elements": summary["bags"]["a"]["elements"], "was_there": False}


def test_a_bag_that_cannot_be_read_does_not_stop_the_others(bags, predict, tmp_path):
    (tmp_path / "broken.mcap").write_bytes(b"no bag")
    code, said = predict([tmp_path / "broken.mcap", bags[2]])
    assert code == 1 and "1 of 2 bags gave no maps" in said and "broken" in said
    assert [path.name for path in (tmp_path / "maps").iterdir()] == ["c.json"]


def test_rasters_lie_beside_and_never_mix(bags, weights, predict, tmp_path):
    predict(bags[2:], "--raster", "npz")
    folder = tmp_path / "maps" / "c.rasters"
    mapper = Mapper(weights, "torch")
    with BagDrive(bags[2], reduction=reduction_for(mapper.config)) as drive:
        for frame in drive.frames():
            found, expected = np.load(folder / f"{frame.stamp_ns}.npz"), mapper.predict(frame)
            np.testing.assert_array_equal(found["probability"], expected.probability)
            np.testing.assert_array_equal(found["observed"], expected.observed)
            assert found["stamp_ns"] == frame.stamp_ns and tuple(found["classes"]) == expected.classes
    predict(bags[2:], "--raster", "png", "--frames", "1")
    (picture,) = folder.iterdir()
    assert picture.suffix == ".png" and cv2.imread(str(picture)).shape[0] == 660


def test_every_rank_maps_its_share(bags, predict, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    shares = []
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        shares.append(list(predict(bags)[1]["bags"]))
    assert shares == [["a"], ["b", "c"]]
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["a.json", "b.json", "c.json"]


def test_two_processes_map_two_bags(bags, weights, tmp_path):
    how = BagMaps(tmp_path, weights, "torch", frames=1)
    found = list(map_bags({"a": bags[0], "b": bags[1]}, how, workers=2))
    assert [(bag.name, bag.frames, bag.problem) for bag in found] == [("a", 1, ""), ("b", 1, "")]


def test_a_frame_without_a_usable_picture_is_left_out_and_counted(rig, make_sample, predict, tmp_path):
    images = make_sample(0.0).prepared.images.transpose(0, 2, 3, 1)
    cameras = tuple(replace(camera, image=np.ascontiguousarray(i)) for camera, i in zip(rig, images))
    with BagWriter(tmp_path / "d.mcap") as writer:
        writer.add(Frame(cameras, 10**18))
        cut = {camera.name: encode_jpeg(camera.image)[:-200] for camera in cameras}
        writer.add(Frame(cameras, 10**18 + 10**8), encoded=cut)
    code, summary = predict([tmp_path / "d.mcap"])
    assert code == 0 and summary["frames"] == 1 and summary["frames_without_picture"] == 1


def test_bags_of_one_name_do_not_overwrite_each_other_and_need_a_folder(bags, predict, tmp_path, weights, capsys):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "c.mcap").write_bytes(bags[2].read_bytes())
    code, summary = predict([bags[2], tmp_path / "other" / "c.mcap"])
    assert code == 0 and len(summary["bags"]) == 2
    assert sorted(p.stem for p in (tmp_path / "maps").iterdir()) == sorted(summary["bags"])
    assert cli.main(["predict", "--bags", str(bags[0])]) == 1
    assert "--bags needs --out DIR" in capsys.readouterr().err
