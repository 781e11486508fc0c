# SPDX-License-Identifier: Apache-2.0
"""ModelConfig to MapModel: the only place where names become classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.config import ModelConfig
from mapkd_core.models.camera import CameraEncoder
from mapkd_core.models.decoder import BevDecoder
from mapkd_core.models.map_model import MapModel
from mapkd_core.models.query_head import QueryHead
from mapkd_core.models.raster_head import RasterHead
from mapkd_core.models.views.ground import GroundView
from mapkd_core.models.views.lift_splat import LiftSplatView

VIEWS: dict[str, Any] = {"ground": GroundView, "lift_splat": LiftSplatView}
PLACE_CHANNELS = 3  # seen, x, y


def build(config: ModelConfig) -> MapModel:
    """A student with fresh weights."""
    view = _view(config)(config)
    width = config.bev_width
    return MapModel(
        config,
        camera=CameraEncoder(config.camera_width, config.detail_width),
        view=view,
        decoder=BevDecoder(view.out_channels + PLACE_CHANNELS, width),
        raster=RasterHead(width, len(config.classes), config.embedding),
        query=QueryHead(config, (width, 2 * width, 4 * width)),
    )


def plan(config: ModelConfig, K: NDArray, ego_T_camera: NDArray, valid: NDArray) -> NDArray[Any]:
    """What the view transform of `config` needs to know of N cameras: K N 3 3, ego_T_camera N 4 4, valid N bool."""
    result: NDArray[Any] = _view(config).plan(config, np.asarray(K), np.asarray(ego_T_camera), np.asarray(valid, bool))
    return result


def _view(config: ModelConfig) -> Any:
    if config.view not in VIEWS:
        raise ValueError(f"unknown view transform {config.view!r}; known: {', '.join(VIEWS)}")
    return VIEWS[config.view]
