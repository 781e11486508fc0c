# SPDX-License-Identifier: Apache-2.0
"""A coach's LiDAR, simulated from the pictures by a second image encoder and lift-splat (MapKD, arXiv 2508.15653).

No point, no depth and no LiDAR feature is ever shown to it. It stands where a teacher's pillars stand, so that its BEV
can be taught by theirs. Its encoder is of the coach's first one's kind and shares no weight with it.
B batch, N cameras, H W picture, D depths, h w features, L channels, Y X decoder cells.
"""

from __future__ import annotations

from torch import Tensor, nn

from mapkd_core.config import ModelConfig
from mapkd_core.models.camera import CameraEncoder
from mapkd_core.models.mobilenet import ConvNorm
from mapkd_core.models.trunk import TrunkEncoder
from mapkd_core.models.views.lift_splat import LiftSplatView


class SimulatedLidar(nn.Module):
    """B N 3 H W pictures and the cells of their frustum points, B N D h w -> B L Y X, as `PillarEncoder` gives."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.lidar_width
        is_paper = config.view.startswith("perspective")  # as in models.build, which imports this
        self.encoder = TrunkEncoder(config.camera_width) if is_paper else CameraEncoder(config.camera_width, 0)
        self.splat = LiftSplatView(config, width)
        self.bev = nn.Sequential(ConvNorm(width, width, 3), ConvNorm(width, width, 3))

    def forward(self, images: Tensor, frustum: Tensor | None) -> Tensor:
        """Raises ValueError without `frustum`, the plan of `LiftSplatView`."""
        if frustum is None:
            raise ValueError(
                "a coach's simulated LiDAR needs the cells of the cameras' frustums: batches of a network with "
                "`simulated_lidar` among its modalities carry them (Batch.frustum); a live node runs students only"
            )
        context, detail = self.encoder(images)
        result: Tensor = self.bev(self.splat(context, detail, frustum))
        return result
