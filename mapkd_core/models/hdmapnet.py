# SPDX-License-Identifier: Apache-2.0
"""A network of HDMapNet's shape (arXiv 2107.06307), camera only: the yardstick of speed.

EfficientNet-B0, one two-layer perceptron per camera from picture cells to BEV cells, a warp by the mounting, and a
BEV encoder with three full decoders (semantic, instance embedding, direction in bins). Built from the published sizes;
it keeps what the student does away with: weights that belong to a camera slot, and no use of the intrinsics. The same
parts in a MapModel, which can be trained, are `view: perspective` with `decoder: resnet` (config/train/paper).

B batch, N cameras, K classes, E embedding, D direction bins, Y X canvas cells.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor, nn

from mapkd_core.config import ModelConfig
from mapkd_core.models.resnet_decoder import FullRasterHead, ResNetDecoder
from mapkd_core.models.trunk import TrunkEncoder
from mapkd_core.models.views.perspective import CAMERAS, PerspectiveView

__all__ = ["CAMERAS", "HDMapNet", "Rasters"]
FEATURES, EMBEDDING, DIRECTIONS = 64, 16, 37  # channels; 36 bins of 10 degrees and background


@dataclass
class Rasters:
    """semantic: B 1+K Y X logits, channel 0 background. embedding: B E Y X. direction: B D Y X logits, 0 background."""

    semantic: Tensor
    embedding: Tensor
    direction: Tensor


class HDMapNet(nn.Module):
    """Pictures and mounting of six cameras, in a fixed order, to rasters on the canvas."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = replace(config, camera_width=FEATURES)
        self.camera = TrunkEncoder(FEATURES)
        self.view = PerspectiveView(self.config)
        self.decoder = ResNetDecoder(FEATURES, FEATURES)
        self.raster = FullRasterHead(FEATURES, (1 + len(config.classes), EMBEDDING, DIRECTIONS))

    def forward(self, images: Tensor, K: Tensor, ego_T_camera: Tensor) -> Rasters:
        """images: B 6 3 H W, values 0..255; K: B 6 3 3, not used, as in HDMapNet; ego_T_camera: B 6 4 4."""
        full, *_ = self.decoder(self.view(*self.camera(images), ego_T_camera))
        return Rasters(*self.raster(full))
