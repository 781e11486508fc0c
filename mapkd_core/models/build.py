# SPDX-License-Identifier: Apache-2.0
"""ModelConfig to MapModel: the only place where names become classes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.config import ModelConfig
from mapkd_core.models.camera import CameraEncoder
from mapkd_core.models.decoder import BevDecoder
from mapkd_core.models.lidar import PillarEncoder
from mapkd_core.models.map_model import MapModel
from mapkd_core.models.prior import LAYERS, LaidPrior, PriorAttention, PriorEncoder
from mapkd_core.models.query_head import QueryHead
from mapkd_core.models.raster_head import RasterHead
from mapkd_core.models.refinement import Refinement
from mapkd_core.models.resnet_decoder import FullRasterHead, ResNetDecoder
from mapkd_core.models.simulated_lidar import SimulatedLidar
from mapkd_core.models.trunk import TrunkEncoder
from mapkd_core.models.views.dual import DualView, PerspectiveDualView
from mapkd_core.models.views.ground import GroundView
from mapkd_core.models.views.lift_splat import LiftSplatView
from mapkd_core.models.views.perspective import PerspectiveView

VIEWS: dict[str, Any] = {"ground": GroundView, "lift_splat": LiftSplatView, "dual": DualView}
# HDMapNet's: heavy, and for one rig of six cameras
PAPER_VIEWS: dict[str, Any] = {"perspective": PerspectiveView, "perspective_dual": PerspectiveDualView}
DECODERS = ("light", "resnet")
MODALITIES = ("camera", "lidar", "simulated_lidar", *LAYERS)
PLACE_CHANNELS = 3  # seen, x, y


def build(config: ModelConfig) -> MapModel:
    """A network with fresh weights, of the parts that its modalities ask for.

    Raises ValueError for an unknown view or modality and for sizes that its strides do not divide.
    """
    _check_sizes(config)
    _check_modalities(config)
    view = _view(config)(config)
    width = config.bev_width
    lidar = _lidar(config)
    priors = {m: PriorEncoder(LAYERS[m], config.prior_width) for m in LAYERS if m in config.modalities}
    inputs = view.out_channels + PLACE_CHANNELS + (config.lidar_width if lidar else 0) + config.hd_width
    attention = PriorAttention(config.bottleneck_width, config.prior_width) if priors else None
    return MapModel(
        config,
        camera=_camera(config),
        view=view,
        decoder=_decoder(config, inputs, attention),
        raster=_raster(config),
        query=QueryHead(config, (2 * width, 4 * width)),
        lidar=lidar,
        priors=dict(priors),
        refinement=_refinement(config),
        laid=LaidPrior(LAYERS["hd"], config.hd_width) if config.hd_width else None,
    )


def plan(config: ModelConfig, K: NDArray, ego_T_camera: NDArray, valid: NDArray) -> NDArray[Any]:
    """What the view transform of `config` needs to know of N cameras: K N 3 3, ego_T_camera N 4 4, valid N bool."""
    result: NDArray[Any] = _view(config).plan(config, np.asarray(K), np.asarray(ego_T_camera), np.asarray(valid, bool))
    return result


def observed(config: ModelConfig, plan_: NDArray[Any]) -> NDArray[np.bool_]:
    """Y X over the canvas: cells that some camera looks at, according to a plan."""
    coarse = _view(config).observed(config, plan_)
    cells: NDArray[np.bool_] = coarse.repeat(2, 0).repeat(2, 1)
    return cells


# A card comes with the weights, perhaps from a stranger: what it asks for must not fill the memory.
_MOST = {
    "image_height": 4096, "image_width": 4096, "lidar_width": 1024, "prior_width": 1024, "hd_width": 1024,
    "refinement_layers": 64,
    "refinement_width": 2048, "neck_width": 2048, "camera_width": 2048, "detail_width": 1024, "bev_width": 1024,
    "embedding": 256, "queries": 1000, "points": 200, "query_width": 2048, "query_layers": 32, "query_groups": 32,
}  # fmt: skip
_MOST_CELLS, _MOST_NAMES = 4_000_000, 64


def _check_sizes(config: ModelConfig) -> None:
    """Raises ValueError for sizes beyond reason, and pictures and grids that the network's strides do not divide."""
    for name, most in _MOST.items():
        if not 0 <= getattr(config, name) <= most:
            raise ValueError(f"{name} = {getattr(config, name)}; must be 0 to {most}")
    if math.prod(config.grid.shape) > _MOST_CELLS:
        raise ValueError(f"canvas of {config.grid.shape} cells; at most {_MOST_CELLS} are built")
    if max(len(config.classes), len(config.heights)) > _MOST_NAMES:
        raise ValueError(f"{len(config.classes)} classes and {len(config.heights)} heights; at most {_MOST_NAMES} each")
    height, width, (rows, columns) = config.image_height, config.image_width, config.grid.shape
    if height % 32 or width % 32 or min(height, width) < 32:
        raise ValueError(f"picture of {height} x {width} px: the backbone halves it five times; use multiples of 32")
    if rows % 8 or columns % 8:
        raise ValueError(f"canvas of {rows} x {columns} cells: the decoder halves it three times; use multiples of 8")


def _check_modalities(config: ModelConfig) -> None:
    unknown = set(config.modalities) - set(MODALITIES)
    if unknown or "camera" not in config.modalities:
        raise ValueError(f"modalities = {config.modalities}; know {', '.join(MODALITIES)}, and camera is always one")
    if {"lidar", "simulated_lidar"} <= set(config.modalities):
        raise ValueError(f"modalities = {config.modalities}: lidar and simulated_lidar stand in one place; take one")
    if config.hd_width and "hd" not in config.modalities:
        raise ValueError(f"hd_width = {config.hd_width}, but modalities = {config.modalities} have no hd; use 0")


def _camera(config: ModelConfig) -> CameraEncoder | TrunkEncoder:
    if config.view in PAPER_VIEWS:
        return TrunkEncoder(config.camera_width)
    return CameraEncoder(config.camera_width, config.detail_width)


def _decoder(config: ModelConfig, inputs: int, attention: PriorAttention | None) -> BevDecoder | ResNetDecoder:
    """Raises ValueError for an unknown decoder, and for a neck where there is none."""
    if config.decoder not in DECODERS:
        raise ValueError(f"unknown decoder {config.decoder!r}; known: {', '.join(DECODERS)}")
    if config.decoder == "resnet":
        return ResNetDecoder(inputs, config.bev_width, config.neck_width, attention)
    if config.neck_width:
        raise ValueError(f"neck_width = {config.neck_width}: the light decoder has no neck; use decoder: resnet, or 0")
    return BevDecoder(inputs, config.bev_width, attention)


def _raster(config: ModelConfig) -> RasterHead | FullRasterHead:
    if config.decoder == "resnet":
        return FullRasterHead(config.bev_width, (config.semantic_channels, config.embedding, 2))
    return RasterHead(config.bev_width, config.semantic_channels, config.embedding)


def _lidar(config: ModelConfig) -> PillarEncoder | SimulatedLidar | None:
    if "simulated_lidar" in config.modalities:
        return SimulatedLidar(config)
    return PillarEncoder(config.decoder_grid, config.lidar_width) if "lidar" in config.modalities else None


def _refinement(config: ModelConfig) -> Refinement | None:
    if config.refinement_layers < 0:
        raise ValueError(f"refinement_layers = {config.refinement_layers}; must be 0, for none, or more")
    if not config.refinement_layers:
        return None
    if config.overlapping:
        raise ValueError(f"refinement_layers = {config.refinement_layers}: it corrects lines, not layers; use 0")
    return Refinement(len(config.classes), config.refinement_width, config.refinement_layers)


def _view(config: ModelConfig) -> Any:
    known = VIEWS | PAPER_VIEWS
    if config.view not in known:
        raise ValueError(f"unknown view transform {config.view!r}; known: {', '.join(known)}")
    return known[config.view]
