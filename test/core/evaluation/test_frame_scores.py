# SPDX-License-Identifier: Apache-2.0
"""Scores of single frames, the worst of them, and the curve under which average precision lies; worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.evaluation.chamfer_ap import average_precision
from mapkd_core.evaluation.curves import precision_recall
from mapkd_core.evaluation.evaluate import Evaluator
from mapkd_core.evaluation.frame_scores import FrameScores
from mapkd_core.evaluation.rendered import Predicted
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, LocalMap, MapElement

GRID = BevGrid()


def line(y, name="divider", confidence=0.9):
    return MapElement(name, np.array([[-10.0, y], [10.0, y]]), confidence=confidence)


def predicted(number, found, true, labelled=CLASSES):
    return Predicted("w", {"query": LocalMap(GRID, tuple(found))}, tuple(true), labelled, f"w-{number}", b"%d" % number)


def test_precision_at_each_recall_is_the_best_at_it_or_beyond():
    """Scores fall: hit, miss, hit, hit; five truths. Precision 1, 1/2, 2/3, 3/4 at recall 1/5, 1/5, 2/5, 3/5."""
    hits, scores = np.array([True, False, True, True]), np.array([0.9, 0.8, 0.7, 0.6])
    curve = dict(precision_recall(hits, scores, 5))
    assert curve[0.0] == curve[0.2] == 1.0
    assert curve[0.22] == curve[0.4] == curve[0.6] == 0.75 and max(curve) == 0.6
    assert average_precision(hits, scores, 5) == pytest.approx(0.2 * 1 + 0.4 * 0.75)


def test_without_truth_there_is_no_curve_and_without_hits_a_point():
    assert precision_recall(np.array([False]), np.array([0.5]), 0) == []
    assert precision_recall(np.array([False]), np.array([0.5]), 3) == [(0.0, 0.0)]
    assert precision_recall(np.zeros(0, bool), np.zeros(0), 3) == [(0.0, 0.0)]


def test_the_evaluator_gives_a_curve_for_each_class_and_threshold():
    evaluator = Evaluator(GRID)
    evaluator.add(LocalMap(GRID, (line(0.0), line(4.0, confidence=0.5))), [line(0.7)])
    curves = evaluator.curves()
    assert curves["divider"][0.5] == [(0.0, 0.0)] and curves["boundary"][1.0] == []
    assert curves["divider"][1.0][-1] == (1.0, 1.0)


def test_frames_are_scored_alone_and_the_worst_come_first():
    scores = FrameScores(worst=2)
    for number, frame in enumerate([([line(0)], [line(0)]), ([line(5)], [line(0)]), ([], [line(0)]), ([line(0)], [])]):
        scores.add(predicted(number, *frame))
    assert [f["token"] for f in scores.frames] == ["w-0", "w-1", "w-2", "w-3"]
    by_token = {f["token"]: f["vectors"]["query"] for f in scores.frames}
    assert by_token["w-0"]["miou"] == 1.0 and by_token["w-0"]["class_ap"]["divider"] == 1.0
    assert by_token["w-1"]["map"] == by_token["w-2"]["map"] == 0.0 and by_token["w-3"]["map"] is None
    assert [f["truths"] for f in scores.frames] == [1, 1, 1, 0]
    assert [frame.token for frame in scores.worst()] == ["w-1", "w-2"]  # w-3 has no truth; of equals the earlier first


def test_masked_classes_make_no_worst_frame():
    scores = FrameScores()
    scores.add(predicted(0, [line(0)], [line(9)], labelled=("boundary",)))
    assert scores.frames[0]["truths"] == 0 and scores.worst() == []


def test_pictures_of_the_worst_replace_those_of_before_and_nothing_else(tmp_path):
    scores = FrameScores(worst=2)
    for number, y in enumerate((0.0, 5.0, 0.1)):
        scores.add(predicted(number, [line(y)], [line(0)]))
    folder = tmp_path / "worst"
    folder.mkdir()
    (folder / "99-old.jpg").write_bytes(b"old")
    names = scores.write_pictures(folder)
    assert sorted(p.name for p in folder.iterdir()) == ["00-w-1.jpg", "01-w-2.jpg"]
    assert (folder / "00-w-1.jpg").read_bytes() == b"1" and names["w-1"] == str(folder / "00-w-1.jpg")
    assert [p.name for p in tmp_path.iterdir()] == ["worst"]
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match=r"holds thesis\.txt"):
        scores.write_pictures(folder)
    assert (folder / "thesis.txt").exists()
