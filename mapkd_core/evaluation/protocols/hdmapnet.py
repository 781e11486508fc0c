# SPDX-License-Identifier: Apache-2.0
"""AP on re-rasterised lines, HDMapNet (`evaluation/AP.py`, `evaluate_json.py`), also BeMapNet and MapKD's first code.

The computation is `mapkd_core.evaluation.raster_ap`, which lists what `as_released` keeps. The released script has
thresholds of 2, 4 and 6 m; 0.2, 0.5 and 1.0 m are the paper's and BeMapNet's "hard", 0.5, 1.0 and 1.5 m its "easy".

Not reproduced: OpenCV's line of thickness 5 on whole pixels (ours is 5 cells wide in every version), and confidences
that slip by one where a line leaves the range and comes back. HDMapNet's truth has a crossing as its two long edges.
"""

from __future__ import annotations

from dataclasses import replace

from mapkd_core.evaluation.protocols.base import ScoredFrame, Scores, ScoringProtocol, Settings, average
from mapkd_core.evaluation.raster_ap import HDMAPNET as AS_PUBLISHED
from mapkd_core.evaluation.raster_ap import RasterApAccumulator, RasterProtocol


class RasterScorer:
    """One of HDMapNet's kin."""

    def __init__(self, settings: Settings, protocol: RasterProtocol) -> None:
        chosen = replace(protocol, thresholds_m=settings.thresholds or protocol.thresholds_m)
        self._accumulator = RasterApAccumulator(chosen, settings.grid, settings.classes, settings.as_released)

    def add(self, frame: ScoredFrame) -> None:
        self._accumulator.add(frame.predicted, frame.truth)

    def scores(self) -> Scores:
        return average(self._accumulator.ap())


def _hdmapnet(settings: Settings) -> RasterScorer:
    return RasterScorer(settings, AS_PUBLISHED)


HDMAPNET = ScoringProtocol(
    "hdmapnet",
    "AP of lines drawn 5 cells wide, Chamfer distance of the cells both ways, ten recalls (HDMapNet)",
    "detections by rising confidence; AP by frame, then averaged; a later line paints over an earlier one; "
    "single-precision recalls",
    AS_PUBLISHED.thresholds_m,
    _hdmapnet,
)
