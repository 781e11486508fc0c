# SPDX-License-Identifier: Apache-2.0
"""Expected calibration error by hand, for numbers, for polylines, and drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mapkd_core.evaluation.calibration import Reliability, plot
from mapkd_core.evaluation.protocols import PROTOCOLS, ScoredFrame, Settings
from mapkd_core.types import MapElement


def test_ece_by_hand() -> None:
    curve = Reliability()
    # Bin 0.9..1: four scores of 0.95, three right: |0.75 - 0.95| = 0.2. Bin 0.1..0.2: one of 0.15, wrong: 0.15.
    curve.add([0.95, 0.95, 0.95], [True, True, False])
    curve.add([0.95, 0.15], [True, False])
    assert curve.ece == pytest.approx(4 / 5 * 0.2 + 1 / 5 * 0.15)
    assert curve.count.tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 4]
    assert curve.hit_rate[9] == 0.75 and curve.as_dict()["hit_rate"][0] is None


def test_edges_and_perfect_scores() -> None:
    curve = Reliability(2)
    curve.add([0.0, 0.5, 1.0], [False, True, True])
    assert curve.count.tolist() == [1, 2] and curve.ece == pytest.approx(0.5 / 3)
    assert np.isnan(Reliability().ece)
    rng = np.random.default_rng(0)
    p = rng.random((100, 100))
    cells = Reliability()
    cells.add(p, rng.random(p.shape) < p)
    assert cells.ece < 0.03


def test_refusals() -> None:
    for scores, hits in (([1.1], [True]), ([np.nan], [True]), ([-0.1], [False])):
        with pytest.raises(ValueError, match=r"0\.\.1"):
            Reliability().add(scores, hits)
    with pytest.raises(ValueError, match="one each"):
        Reliability().add([0.5], [True, False])


def test_polylines_a_duplicate_is_no_hit() -> None:
    line = MapElement("divider", np.array([[-10.0, 0.0], [10.0, 0.0]]))
    twice = [MapElement("divider", line.vertices_m, False, score) for score in (0.8, 0.6)]
    scorer = PROTOCOLS["calibration"].make(Settings(classes=("divider",), thresholds=(1.0,)))
    scorer.add(ScoredFrame("0", twice, [line]))
    scores = scorer.scores()
    assert scores.mean == pytest.approx((0.2 + 0.6) / 2)
    assert scores.detail["reliability"]["divider"]["1"]["count"][6] == 1


def test_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    curve = Reliability()
    curve.add([0.2, 0.9], [False, True])
    plot({"divider": curve.as_dict()}, tmp_path / "new" / "reliability.png")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["reliability.png"]
    assert (tmp_path / "new" / "reliability.png").read_bytes().startswith(b"\x89PNG")
