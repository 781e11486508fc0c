# SPDX-License-Identifier: Apache-2.0
"""From maps and truth to a report, and the report's written forms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mapkd_core.data.rasterise import rasterise
from mapkd_core.evaluation.evaluate import Evaluator, evaluate
from mapkd_core.evaluation.report import Report, table
from mapkd_core.grid import BevGrid
from mapkd_core.types import LocalMap, MapElement

GRID = BevGrid()
DIVIDER = MapElement("divider", np.array([[-20.0, 2.0], [20.0, 2.0]]))
KERB = MapElement("boundary", np.array([[-20.0, -6.0], [20.0, -6.0]]))


def local_map(elements: tuple[MapElement, ...], with_probability: bool = True) -> LocalMap:
    labels = rasterise(elements, GRID)
    layers = np.stack([(labels == k + 1) * np.uint8(255) for k in range(3)])
    return LocalMap(GRID, elements, probability=layers if with_probability else None)


def test_a_perfect_map_scores_one_in_every_labelled_class() -> None:
    report = evaluate([(local_map((DIVIDER, KERB)), (DIVIDER, KERB), None)])
    assert report.iou["divider"] == report.iou["boundary"] == report.miou == report.map == 1.0
    assert np.isnan(report.iou["ped_crossing"]) and report.frames == 1
    assert report.truths == report.detections == {"divider": 1, "ped_crossing": 0, "boundary": 1}


def test_half_right() -> None:
    report = evaluate([(local_map((DIVIDER, KERB)), (DIVIDER,), None)])
    assert report.iou["divider"] == 1.0 and report.iou["boundary"] == 0.0 and report.miou == 0.5
    assert report.map == 1.0  # a class without truth has no AP
    masked = evaluate([(local_map((DIVIDER, KERB)), (DIVIDER,), ["divider"])])
    assert masked.miou == 1.0 and masked.detections["boundary"] == 0


def test_vectors_alone_are_scored_by_drawing_them_and_the_report_says_so() -> None:
    report = evaluate([(local_map((DIVIDER,), with_probability=False), (DIVIDER,), None)])
    assert report.iou["divider"] == 1.0 and "drawn vectors" in report.notes[0]


def test_written_forms(tmp_path: Path) -> None:
    report = evaluate([(local_map((DIVIDER,)), (DIVIDER,), None)])
    report.write_json(tmp_path / "metrics.json")
    read = json.loads((tmp_path / "metrics.json").read_text())
    assert read["miou"] == 1.0 and read["iou"]["boundary"] is None and read["ap"]["divider"]["0.5"] == 1.0
    assert list(tmp_path.iterdir()) == [tmp_path / "metrics.json"]
    lines = report.markdown().splitlines()
    assert lines[0].startswith("| class ") and "100.0" in lines[2] and lines[5].startswith("| mean ")
    assert len({len(text) for text in lines[:6]}) == 1


def test_a_report_without_frames_is_empty_not_zero() -> None:
    report = evaluate([], GRID)
    assert isinstance(report, Report) and np.isnan(report.miou) and np.isnan(report.map)
    with pytest.raises(ValueError, match="nothing to evaluate"):
        evaluate([])


def test_another_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="grid of the map"):
        Evaluator(BevGrid(-60.0, 60.0, -30.0, 30.0, 0.3)).add(local_map((DIVIDER,)), (DIVIDER,))


def test_table_aligns_numbers_to_the_right() -> None:
    assert table(["a", "bb"], [["x", "1"], ["long", "22.5"]]) == [
        "| a    |   bb |",
        "| ---- | ---: |",
        "| x    |    1 |",
        "| long | 22.5 |",
    ]
