# SPDX-License-Identifier: Apache-2.0
"""Three forms of files, and what is said about a wrong one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mapkd_core.evaluation.map_files import ScoredElement, read_maps, write_maps

SQUARE = [[0, 0], [4, 0], [4, 2], [0, 2]]


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "maps.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def own(tmp_path: Path, **changes: object) -> Path:
    entry = {"class": "divider", "points": [[0, 0], [1, 1]], "score": 0.5} | changes
    return written(tmp_path, {"frames": {"t0": [{k: v for k, v in entry.items() if v is not None}]}})


def test_own_form_comes_back_as_it_was_written(tmp_path: Path) -> None:
    elements = [
        ScoredElement("ped_crossing", np.array(SQUARE, float), True, 0.25, 7),
        ScoredElement("divider", np.array([[0.0, 0], [1.5, 2]]), False, 1.0),
    ]
    write_maps(tmp_path / "a.json", {"t0": elements, "t1": []}, {"scene": ["t1", "t0"]})
    read = read_maps(tmp_path / "a.json", with_score=True)
    assert list(read.frames) == ["t0", "t1"] and read.scenes == {"scene": ("t1", "t0")} and read.form == "mapkd"
    for one, other in zip(read.frames["t0"], elements):
        assert (one.class_name, one.is_closed, one.confidence, one.track) == (
            other.class_name, other.is_closed, other.confidence, other.track,
        )  # fmt: skip
        assert one.vertices_m.tolist() == other.vertices_m.tolist()
    assert list(tmp_path.iterdir()) == [tmp_path / "a.json"]


def test_a_closed_element_has_its_first_vertex_once_however_it_is_written(tmp_path: Path) -> None:
    for changes in ({"points": SQUARE, "closed": True}, {"points": [*SQUARE, SQUARE[0]]}):
        (element,) = read_maps(own(tmp_path, **changes), True).frames["t0"]
        assert element.is_closed and len(element.vertices_m) == 4


def test_truth_needs_no_score_and_height_is_left_out(tmp_path: Path) -> None:
    (element,) = read_maps(own(tmp_path, score=None, points=[[0, 1, 9], [2, 3, 9]]), False).frames["t0"]
    assert element.vertices_m.tolist() == [[0, 1], [2, 3]] and element.confidence == 1.0


def test_maptr_looks_from_the_lidar(tmp_path: Path) -> None:
    # 10 m ahead and 2 m to the right of the LiDAR: x forward, y left gives (10, -2); the LiDAR is 0.94 m ahead of ego.
    vectors = [
        {"pts": [[2, 10], [2, 20]], "pts_num": 2, "cls_name": "boundary", "type": 2, "confidence_level": 0.7},
        {"pts": [[0, 1], [0, 2]], "type": 0, "confidence_level": 0.6},
        {"pts": [[0, 1]], "cls_name": "divider", "confidence_level": 0.6},
    ]
    path = written(tmp_path, {"meta": {}, "results": [{"sample_token": "t0", "vectors": vectors}]})
    read = read_maps(path, True)
    assert [e.class_name for e in read.frames["t0"]] == ["boundary", "divider"] and read.origin == "lidar"
    assert read.frames["t0"][0].vertices_m.tolist() == [[10, -2], [20, -2]]
    assert read.around_ego().frames["t0"][0].vertices_m.tolist() == [[10.94, -2], [20.94, -2]]
    assert read.skipped == {"of less than two points": 1}
    truth = written(tmp_path, {"GTs": [{"sample_token": "t0", "vectors": vectors[:1]}]})
    assert read_maps(truth, False).frames["t0"][0].class_name == "boundary"


def test_streammapnet_counts_classes_from_the_crossing(tmp_path: Path) -> None:
    case = {"vectors": [[[0, 0], [1, 0]]] * 3, "scores": [0.1, 0.2, 0.3], "labels": [0, 1, 2], "global_ids": [4, 5, 6]}
    read = read_maps(written(tmp_path, {"meta": {}, "results": {"t0": case}}), True)
    assert [(e.class_name, e.confidence, e.track) for e in read.frames["t0"]] == [
        ("ped_crossing", 0.1, 4), ("divider", 0.2, 5), ("boundary", 0.3, 6),
    ]  # fmt: skip
    assert read.origin == "ego" and read.form == "StreamMapNet"


BAD_ELEMENTS = {
    "nan": ({"points": [[0, 0], [1, float("nan")]]}, r"frame t0, element 0: point 1 is \[1.0, nan\].*finite"),
    "infinite": ({"points": [[0, 0], [1, float("inf")]]}, "finite"),
    "ragged": ({"points": [[0, 0], [1]]}, "no list of"),
    "text": ({"points": "0 0 1 1"}, "no list of"),
    "four numbers": ({"points": [[0, 0, 1, 1]]}, r"shape \(1, 4\)"),
    "one point": ({"points": [[0, 0]]}, r"1 point\(s\) make no line"),
    "no points": ({"points": []}, r"0 point\(s\) make no line"),
    "class": ({"class": "kerb"}, "unknown class 'kerb'.*--classes.*--ignore-other-classes"),
    "no class": ({"class": None}, "class is missing"),
    "no score": ({"score": None}, "score is missing"),
    "score": ({"score": float("nan")}, "score is nan"),
    "score of text": ({"score": "high"}, "score is 'high'"),
}


@pytest.mark.parametrize("case", BAD_ELEMENTS)
def test_a_wrong_element_is_named_with_its_place(case: str, tmp_path: Path) -> None:
    changes, message = BAD_ELEMENTS[case]
    path = own(tmp_path, **changes)
    with pytest.raises(ValueError, match=f"maps.json: frame t0, element 0.*{message.split('element 0')[-1]}"):
        read_maps(path, True)


def test_other_classes_are_left_out_and_counted_on_request(tmp_path: Path) -> None:
    read = read_maps(own(tmp_path, **{"class": "centerline"}), True, ignore_other_classes=True)
    assert read.frames == {"t0": ()} and read.skipped == {"of class centerline": 1}


BAD_FILES = {
    "cut off": ('{"frames": {"t0": [', "is not valid JSON.*cut off"),
    "empty": ("", "is not valid JSON"),
    "a list": ([1], "holds no maps but a list; known:"),
    "other keys": ({"maps": {}}, r"holds no maps but keys \['maps'\]"),
    "frame is no list": ({"frames": {"t0": {"class": "divider"}}}, "frame t0 is a dict"),
    "element is no object": ({"frames": {"t0": [3]}}, "class, points, score is missing"),
    "scene of unknown frames": ({"frames": {"t0": []}, "scenes": {"s": ["t9"]}}, "scenes name frame 't9'"),
    "frame in two scenes": ({"frames": {"t0": []}, "scenes": {"s": ["t0"], "u": ["t0"]}}, "a frame twice"),
    "maptr twice": ({"results": [{"sample_token": "t0", "vectors": []}] * 2}, "t0 comes twice"),
    "maptr without token": ({"results": [{"vectors": []}]}, r"results\[0\] lacks sample_token"),
    "streammapnet without scores": ({"results": {"t0": {"vectors": [], "labels": []}}}, "vectors, labels, scores"),
    "streammapnet lengths": ({"results": {"t0": {"vectors": [], "labels": [1], "scores": []}}}, "different lengths"),
    "streammapnet label": (
        {"results": {"t0": {"vectors": [[[0, 0], [1, 1]]], "labels": [3], "scores": [1]}}},
        "class number 3; known: 0 ped",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_wrong_file_is_named_with_the_remedy(case: str, tmp_path: Path) -> None:
    content, message = BAD_FILES[case]
    with pytest.raises(ValueError, match=f"maps.json.*{message}"):
        read_maps(written(tmp_path, content), True)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.json; expected a JSON file of maps"):
        read_maps(tmp_path / "nothing.json", True)
