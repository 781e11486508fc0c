# SPDX-License-Identifier: Apache-2.0
"""What the peers' own code answers on seven cases (AP at 0.5 m), and that the corrected forms agree with each other."""

from __future__ import annotations

import numpy as np
import pytest

from mapkd_core.commands import score as command
from mapkd_core.evaluation.protocols import PROTOCOLS, ScoredFrame, Settings
from mapkd_core.types import MapElement


def line(y: float, score: float = 1.0, x: tuple[float, float] = (-10.0, 10.0)) -> MapElement:
    return MapElement("divider", np.array([[x[0], y], [x[1], y]]), confidence=score)


TRUTH = [line(-5), line(5)]
# Frames of predictions and truth, then HDMapNet, P-MapNet and MapTR as released; MapTR's is the corrected number, too.
CASES = {
    "2 exact": ([([line(-5, 0.9), line(5, 0.8)], TRUTH)], 1.0, 1.0, 1.0),
    "1 hit .9, 1 false alarm .1": ([([line(-5, 0.9), line(0, 0.1)], TRUTH)], 0.25, 0.25, 0.5),
    "1 hit .1, 1 false alarm .9": ([([line(-5, 0.1), line(0, 0.9)], TRUTH)], 0.5, 0.5, 0.25),
    "2 hits .9 .8, 2 false alarms .2 .1": (
        [([line(-5, 0.9), line(5, 0.8), line(0, 0.2), line(2, 0.1)], TRUTH)], 0.5, 0.5, 1.0,
    ),
    "exact fragments of 15 %": ([([line(-5, 0.9, (-10, -7)), line(5, 0.8, (-10, -7))], TRUTH)], 0.0, 1.0, 0.0),
    "both shifted by 0.4 m": ([([line(-4.6, 0.9), line(5.4, 0.8)], TRUTH)], 1.0, 1.0, 1.0),
    "1 of 1 found, then 9 missed": (
        [([line(0)], [line(0)]), ([], [line(y) for y in range(-5, 4)])], 0.5, 0.5, 0.1,
    ),
}  # fmt: skip


def ap(protocol: str, frames: list, as_released: bool, threshold: float = 0.5) -> float:
    scorer = PROTOCOLS[protocol].make(Settings(classes=("divider",), thresholds=(threshold,), as_released=as_released))
    for i, (predicted, truth) in enumerate(frames):
        scorer.add(ScoredFrame(str(i), predicted, truth))
    return scorer.scores().mean


@pytest.mark.parametrize("case", CASES)
def test_as_released(case: str) -> None:
    frames, hdmapnet, pmapnet, maptr = CASES[case]
    found = [ap(name, frames, True) for name in ("hdmapnet", "pmapnet", "maptr", "streammapnet")]
    assert found == pytest.approx([hdmapnet, pmapnet, maptr, maptr])


@pytest.mark.parametrize("case", CASES)
def test_corrected_forms_agree(case: str) -> None:
    frames, *_, maptr = CASES[case]
    found = [ap(name, frames, False) for name in ("hdmapnet", "pmapnet", "maptr", "streammapnet")]
    assert found == pytest.approx([maptr] * 4)


def test_no_prediction_and_no_truth() -> None:
    for name in ("hdmapnet", "pmapnet", "maptr", "raster"):
        for as_released in (False, True):
            assert ap(name, [([], TRUTH)], as_released) == 0.0
    nothing_true = [([line(0)], [])]
    assert [ap(name, nothing_true, True) for name in ("maptr", "streammapnet", "hdmapnet", "pmapnet")] == [0.0] * 4
    assert np.isnan([ap(name, nothing_true, False) for name in ("maptr", "hdmapnet", "pmapnet", "raster")]).all()


def test_reversed_lines_are_the_same_and_a_duplicate_is_a_false_alarm() -> None:
    reversed_and_twice = [([line(-5, 0.9, (10, -10)), line(5, 0.8), line(5, 0.7)], TRUTH)]
    assert [ap(name, reversed_and_twice, False) for name in ("maptr", "hdmapnet", "pmapnet")] == [1.0] * 3
    duplicate_first = [([line(5, 0.9), line(5, 0.8), line(-5, 0.7)], TRUTH)]
    # Hit, false alarm, hit: precision 1 to recall 1/2, then 2/3.
    assert ap("maptr", duplicate_first, False) == pytest.approx((1 + 2 / 3) / 2)
    assert ap("hdmapnet", duplicate_first, False) == pytest.approx((1 + 2 / 3) / 2)


def test_a_protocol_is_in_the_dict_in_the_command_and_in_the_docs() -> None:
    from mapkd_core.commands.readme_tables import ROOT

    assert tuple(PROTOCOLS) == command.PROTOCOLS
    docs = (ROOT / "docs" / "metrics.md").read_text()
    assert [name for name in PROTOCOLS if f"`{name}`" not in docs] == []
