# SPDX-License-Identifier: Apache-2.0
"""`mapkd score` from files to numbers: by hand, across formats and ranges, and what is said about what is missing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from mapkd_core import cli
from mapkd_core.evaluation.map_files import read_maps, write_maps
from mapkd_core.evaluation.protocols import Settings
from mapkd_core.evaluation.score import Scoring, score
from mapkd_core.evaluation.score_speed import made_up_frames
from mapkd_core.types import MapElement

T = TypeVar("T")


def line(y: float, score: float = 1.0, x: tuple[float, float] = (-10, 10), name: str = "divider") -> MapElement:
    return MapElement(name, np.array([[x[0], y], [x[1], y]], float), confidence=score)


TRUTH = {"a": [line(-5), line(5)], "b": [line(0, name="boundary")]}
PREDICTED = {"a": [line(-5, 0.9), line(0, 0.1)], "b": [line(0, 0.8, name="boundary")]}


@pytest.fixture
def scored(tmp_path: Path, capsys: pytest.CaptureFixture):
    """Runs the command on frames, or on JSON of other forms, and gives its summary; a refusal comes as its message."""

    def run(truth: dict, predicted: dict, *options: str) -> dict | str:
        paths = [tmp_path / "truth.json", tmp_path / "predicted.json"]
        for path, content, with_score in zip(paths, (truth, predicted), (False, True)):
            if "results" in content or "GTs" in content:
                path.write_text(json.dumps(content))
            else:
                write_maps(path, content, with_score=with_score)
        code = cli.main(["score", *map(str, paths), *options, "--json"])
        output = capsys.readouterr()
        assert (output.out.count("\n"), output.err.count("\n")) == ((1, 0) if code == 0 else (0, 1))
        return json.loads(output.out) if code == 0 else output.err

    return run


def test_numbers_by_hand(scored) -> None:
    summary = scored(TRUTH, PREDICTED)
    assert summary["ap"]["divider"] == {"0.5": 0.5, "1": 0.5, "1.5": 0.5} and summary["ap"]["ped_crossing"]["1"] is None
    assert summary["class_ap"]["boundary"] == 1.0 and summary["map"] == 0.75
    assert summary["iou"]["boundary"] == 1.0 and summary["iou"]["divider"] == pytest.approx(0.5, abs=0.01)
    assert summary["iou_by_distance"]["20-30"]["divider"] is None, "nothing lies there"
    assert summary["frames"] == 2 and summary["truths"]["divider"] == summary["detections"]["divider"] == 2


def test_as_released_is_another_number(scored) -> None:
    assert scored(TRUTH, PREDICTED, "--protocol", "pmapnet")["class_ap"]["divider"] == 0.5
    released = scored(TRUTH, PREDICTED, "--protocol", "pmapnet", "--as-released")
    assert released["class_ap"]["divider"] == 0.25 and released["as_released"] is True
    assert scored(TRUTH, PREDICTED, "--as-released")["map"] == pytest.approx(0.5), "a class without truth counts as 0"


def test_missing_frames_are_counted_and_said(scored) -> None:
    summary = scored(TRUTH, {"a": PREDICTED["a"], "z": [line(1, 0.9)]})
    assert (summary["frames_without_prediction"], summary["frames_without_truth"]) == (1, 1)
    assert summary["class_ap"]["boundary"] == 0.0 and summary["detections"]["divider"] == 2
    assert "1 of 2 frames have no prediction" in summary["notes"][0] and "1 predicted frames" in summary["notes"][1]
    assert "no frame in common: 'a' there, 'z' here" in scored(TRUTH, {"z": []})
    assert "holds no frame" in scored({}, PREDICTED)
    assert scored(TRUTH, {})["map"] == 0.0


def test_everything_is_cut_to_the_range(scored) -> None:
    truth, predicted = {"a": [line(0, x=(-60, 60))]}, {"a": [line(0, 0.9, x=(-30, 30))]}
    assert scored(truth, predicted)["map"] == 1.0
    far = scored(truth, predicted, "--range", "120x60")
    assert far["map"] == 0.0 and far["range_m"] == [-60, -30, 60, 30] and "50-60" in far["iou_by_distance"]
    assert scored(truth, predicted, "--range", "100x50", "--protocol", "streammapnet")["ap"]["divider"].keys() == {
        "1", "1.5", "2",
    }  # fmt: skip


def test_thresholds(scored) -> None:
    shifted = {"a": [line(0.4, 0.9)]}
    assert scored({"a": [line(0)]}, shifted, "--strict")["ap"]["divider"] == {"0.2": 0.0, "0.5": 1.0, "1": 1.0}
    assert scored({"a": [line(0)]}, shifted, "--thresholds", "0.3")["map"] == 0.0


def test_files_of_maptr_and_streammapnet_score_as_ours(scored) -> None:
    def maptr(frames: dict, key: str, ahead_m: float) -> dict:
        vectors = {
            t: [
                {"pts": (e.vertices_m[:, ::-1] * [-1, 1] - [0, ahead_m]).tolist(), "cls_name": e.class_name,
                 "confidence_level": e.confidence} for e in elements
            ] for t, elements in frames.items()
        }  # fmt: skip
        return {key: [{"sample_token": t, "vectors": v} for t, v in vectors.items()]}

    number = {"ped_crossing": 0, "divider": 1, "boundary": 2}
    stream = {
        t: {"vectors": [e.vertices_m.tolist() for e in es], "labels": [number[e.class_name] for e in es],
            "scores": [e.confidence for e in es]} for t, es in PREDICTED.items()
    }  # fmt: skip
    expected = scored(TRUTH, PREDICTED)
    for truth, predicted, note in (
        (maptr(TRUTH, "GTs", 0), maptr(PREDICTED, "results", 0), "around the LiDAR"),
        (TRUTH, maptr(PREDICTED, "results", 0.94), "moved 0.94 m forward"),
        (TRUTH, {"results": stream}, "drawn polylines"),
    ):
        summary = scored(truth, predicted)
        assert (summary["ap"], summary["iou"]) == (expected["ap"], expected["iou"])
        assert note in " ".join(summary["notes"])


def test_other_protocols_by_name(scored, tmp_path: Path) -> None:
    raster = scored(TRUTH, PREDICTED, "--protocol", "raster", "--no-iou")
    assert raster["class_ap"]["divider"] == pytest.approx(51 / 101, abs=1e-6) and "iou" not in raster
    assert scored(TRUTH, PREDICTED, "--protocol", "bevfusion")["class_iou_max"]["boundary"] == 1.0
    assert "in no scene" in scored(TRUTH, PREDICTED, "--protocol", "cmap")
    picture, out = tmp_path / "r.png", tmp_path / "new" / "scores.json"
    options = ("--protocol", "calibration", "--plot", str(picture), "--out", str(out))
    summary = scored(TRUTH, PREDICTED, *options)
    assert summary["class_ece"]["divider"] == pytest.approx(0.1) and picture.stat().st_size > 5000
    assert json.loads(out.read_text()) == summary


BAD_OPTIONS = {
    ("--range", "60"): "range = '60'",
    ("--range", "100x50", "--cell", "0.15"): "choose another --cell or --range",
    ("--thresholds", "-1"): "must be above 0",
    ("--strict", "--protocol", "hdmapnet"): "strict thresholds are for",
    ("--plot", "a.png"): "--protocol calibration",
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_bad_options(options: tuple[str, ...], scored) -> None:
    assert BAD_OPTIONS[options] in scored(TRUTH, PREDICTED, *options)


def test_the_table_is_for_people(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_maps(tmp_path / "t.json", TRUTH, with_score=False)
    write_maps(tmp_path / "p.json", PREDICTED)
    assert cli.main(["score", str(tmp_path / "t.json"), str(tmp_path / "p.json"), "--as-released"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split("|")[1:3] == [" divider      ", "   50.0 "] and len({len(text) for text in lines[:6]}) == 1
    assert lines[7] == "2 frames, 60 x 30 m, protocol maptr, as released; percent." and "flat ends" in lines[8]


def test_scoring_costs_no_python_for_each_pair_of_lines(tmp_path: Path) -> None:
    """Calls of functions in a frame of 50 predictions and 9 lines, which no machine changes: 1,670 and 3,070 at first.

    A loop over its some 160 pairs of one class would show. `python -m mapkd_core.evaluation.score_speed` measures time.
    """
    frames = 20
    paths = tmp_path / "truth.json", tmp_path / "predicted.json"
    for path, maps in zip(paths, made_up_frames(frames), strict=True):
        write_maps(path, maps, with_score=path is paths[1])
    files, reading = calls_of(lambda: [read_maps(path, with_score=path is paths[1]) for path in paths])
    _, scoring = calls_of(lambda: score(*files, Scoring("maptr", Settings())))
    assert reading / frames < 1800 and scoring / frames < 3400


def calls_of(action: Callable[[], T]) -> tuple[T, int]:
    """What an action gives, and how many functions it called, Python's and C's."""
    counts: list[None] = []
    sys.setprofile(lambda _, event, __: counts.append(None) if event in ("call", "c_call") else None)
    try:
        result = action()
    finally:
        sys.setprofile(None)
    return result, len(counts)
