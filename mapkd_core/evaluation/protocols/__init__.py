# SPDX-License-Identifier: Apache-2.0
"""Scoring protocols, one file each; `PROTOCOLS` finds them by name. docs/metrics.md says which answers what."""

from mapkd_core.evaluation.protocols.base import ScoredFrame, Scorer, Scores, ScoringProtocol, Settings
from mapkd_core.evaluation.protocols.bevfusion import BEVFUSION
from mapkd_core.evaluation.protocols.calibration import CALIBRATION
from mapkd_core.evaluation.protocols.cmap import CMAP
from mapkd_core.evaluation.protocols.hdmapnet import HDMAPNET
from mapkd_core.evaluation.protocols.maptr import MAPTR, STREAMMAPNET
from mapkd_core.evaluation.protocols.mapvr import RASTER
from mapkd_core.evaluation.protocols.pmapnet import PMAPNET

PROTOCOLS: dict[str, ScoringProtocol] = {
    protocol.name: protocol
    for protocol in (MAPTR, STREAMMAPNET, HDMAPNET, PMAPNET, RASTER, CMAP, BEVFUSION, CALIBRATION)
}

__all__ = ["PROTOCOLS", "ScoredFrame", "Scorer", "Scores", "ScoringProtocol", "Settings"]
