# SPDX-License-Identifier: Apache-2.0
"""AP on re-rasterised lines, P-MapNet (`tools/evaluation/AP.py`, `tools/evaluate_json.py`), also MapKD's tools.

As HDMapNet's, but a pair also needs a mask IoU of 0.1, and the distance goes from the prediction to the truth only, so
that a fragment of 15 % of a line matches it perfectly. `as_released` keeps that one way and all of HDMapNet's quirks,
and a pair that fails the mask IoU uses up its two lines; otherwise the distance goes both ways and such a pair is no
candidate. MapKD's published 34.07 is of the released kind.
"""

from __future__ import annotations

from dataclasses import replace

from mapkd_core.evaluation.protocols.base import ScoringProtocol, Settings
from mapkd_core.evaluation.protocols.hdmapnet import HDMAPNET, RasterScorer
from mapkd_core.evaluation.raster_ap import PMAPNET as AS_PUBLISHED


def _pmapnet(settings: Settings) -> RasterScorer:
    return RasterScorer(settings, replace(AS_PUBLISHED, bidirectional=not settings.as_released))


PMAPNET = ScoringProtocol(
    "pmapnet",
    "as hdmapnet, and a pair needs a mask IoU of 0.1 (P-MapNet, MapKD)",
    f"distance from prediction to truth only; a pair below the mask IoU is used up; {HDMAPNET.quirks}",
    AS_PUBLISHED.thresholds_m,
    _pmapnet,
)
