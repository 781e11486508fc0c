# SPDX-License-Identifier: Apache-2.0
"""AP by Chamfer distance: MapTR (`map_utils/{mean_ap,tpfp,tpfp_chamfer}.py`), also MapTRv2, GeMap, MapQR, HRMapNet
with 100 points a line; StreamMapNet (`plugin/datasets/evaluation/{vector_eval,AP}.py`) and MapTracker with 200.

The computation is `mapkd_core.evaluation.chamfer_ap`. What the released code does beside it, kept by `as_released`:

* MapTR: pairs whose lines, widened by 2 m with flat ends, do not meet never match. Pieces of one line end to end, so
  that the Chamfer distance may well be below 1.5 m, are refused.
* Both: a class without any truth counts as 0 in mAP; otherwise it is left out.

Frames are paired by token here; MapTR pairs them by their place in the list.
"""

from __future__ import annotations

from mapkd_core.evaluation.chamfer_ap import STRICT_THRESHOLDS_M, THRESHOLDS_M, ChamferApAccumulator
from mapkd_core.evaluation.protocols.base import ScoredFrame, Scores, ScoringProtocol, Settings, average

FAR_THRESHOLDS_M = (1.0, 1.5, 2.0)  # StreamMapNet's at 100 x 50 m


class ChamferScorer:
    """points: samples a line. filtered: MapTR's flat ends, where `as_released`."""

    def __init__(self, settings: Settings, thresholds_m: tuple[float, ...], points: int, filtered: bool) -> None:
        self._zero = settings.as_released
        self._accumulator = ChamferApAccumulator(
            settings.classes, settings.thresholds or thresholds_m, points, flat_caps=filtered and settings.as_released
        )

    def add(self, frame: ScoredFrame) -> None:
        self._accumulator.add(frame.predicted, frame.truth)

    def scores(self) -> Scores:
        return average(self._accumulator.ap(), absent_is_zero=self._zero)


def _maptr(settings: Settings) -> ChamferScorer:
    return ChamferScorer(settings, THRESHOLDS_M, 100, filtered=True)


def _streammapnet(settings: Settings) -> ChamferScorer:
    far = settings.grid.x_max - settings.grid.x_min >= 100
    return ChamferScorer(settings, FAR_THRESHOLDS_M if far else THRESHOLDS_M, 200, filtered=False)


MAPTR = ScoringProtocol(
    "maptr",
    "AP by Chamfer distance, 100 points a line, pooled over frames (MapTR)",
    "pairs whose 2 m buffers with flat ends do not meet never match; a class without truth counts as 0",
    THRESHOLDS_M,
    _maptr,
    STRICT_THRESHOLDS_M,
)
STREAMMAPNET = ScoringProtocol(
    "streammapnet",
    "as maptr with 200 points a line; 1.0, 1.5, 2.0 m from 100 m range on (StreamMapNet, MapTracker)",
    "a class without truth counts as 0",
    THRESHOLDS_M,
    _streammapnet,
    STRICT_THRESHOLDS_M,
)
