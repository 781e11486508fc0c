# SPDX-License-Identifier: Apache-2.0
"""Calibration of a map's raster and lines, worked by hand; and what the evaluator says of it."""

from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.data.rasterise import rasterise
from mapkd_core.evaluation.chamfer_ap import ChamferApAccumulator
from mapkd_core.evaluation.evaluate import Evaluator
from mapkd_core.evaluation.map_calibration import RasterCalibration, diagrams, errors, line_curves
from mapkd_core.grid import BevGrid
from mapkd_core.types import LocalMap, MapElement

CLASSES = ("divider", "boundary")
ROW = np.array([[0.0, 1.0], [10.0, 1.0]])


def test_cells_and_drawn_cells_of_one_row():
    # 0.8 right, 0.6 wrong, 0.2 and 0 right in saying no; argmax draws the first two.
    probability = np.array([[[204, 153, 51, 0]], [[0, 0, 0, 0]]], np.uint8)
    labels, truth = np.array([[1, 1, 0, 0]], np.uint8), np.array([[1, 0, 0, 0]], np.uint8)
    raster = RasterCalibration(CLASSES)
    assert raster.curves() == {}
    raster.add(probability, labels, truth, {"divider"})
    found = errors(raster.curves())
    assert found["cells"]["divider"] == pytest.approx((0.2 + 0.6 + 0.2 + 0.0) / 4)
    assert found["drawn"]["divider"] == pytest.approx((0.2 + 0.6) / 2)
    assert np.isnan(found["cells"]["boundary"]), "its truth is not known"
    assert diagrams(raster.curves())["drawn"]["divider"]["count"][6] == 1


def test_lines_count_as_hits_within_a_metre():
    found = ChamferApAccumulator(CLASSES, (0.5, 1.0))
    near, far = (MapElement("divider", ROW + (0.0, off), confidence=c) for off, c in ((0.8, 0.9), (5.0, 0.3)))
    found.add([near, far], [MapElement("divider", ROW)])
    assert errors(line_curves(found, CLASSES, (0.5, 1.0)))["lines"]["divider"] == pytest.approx((0.1 + 0.3) / 2)
    assert line_curves(found, CLASSES, (0.5,)) == {}, "nobody looked at 1 m"


def test_the_evaluator_reports_light_sight_and_calibration():
    grid = BevGrid()
    truth = (MapElement("divider", np.array([[-20.0, 2.0], [20.0, 2.0]])),)
    labels = rasterise(truth, grid)
    probability = np.stack([(labels == k + 1) * np.uint8(204) for k in range(3)])
    evaluator = Evaluator(grid, calibrated=True)
    seen = grid.centres()[..., 0] < 0
    evaluator.add(LocalMap(grid, truth, probability=probability), truth, None, "dusk", seen)
    report = evaluator.report()
    assert report.ece["drawn"]["divider"] == pytest.approx(0.2) and report.ece["lines"]["divider"] == 0.0
    assert report.iou_by_light["dusk"]["divider"] == report.iou_by_sight["hidden"]["divider"] == 1.0
    assert report.truth_by_sight["seen"] == pytest.approx(0.5)
    text = report.markdown()
    assert "| dusk " in text and "| hidden " in text and "| drawn " in text
    plain = report.as_dict()
    assert plain["frames_by_light"] == {"dusk": 1} and plain["iou_by_light"]["dusk"]["boundary"] is None
    without = Evaluator(grid)
    without.add(LocalMap(grid, truth, probability=probability), truth)
    assert without.reliability() == {} and "ECE" not in without.report().markdown()
    assert without.report().as_dict()["truth_by_sight"] == {}
