# SPDX-License-Identifier: Apache-2.0
"""MapModel: camera features -> BEV -> BEV -> rasters and polylines, the parts in order.

B batch, N cameras, K classes, Y X decoder cells; rasters lie on the canvas, 2Y 2X.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mapkd_core.config import ModelConfig


@dataclass
class MapOutput:
    """Named stages, which losses and distillation read.

    camera: B N C h w, camera features at 1/8. camera_bev: B C Y X, what the view transform made. bev: B w Y X, after
    the decoder.
    semantic: B 1+K 2Y 2X logits, channel 0 background. embedding: B E 2Y 2X. direction: B 2 2Y 2X.
    queries: per refinement (scores B Q K logits, points B Q P 2 in [0, 1]), the last is the answer.
    """

    camera: Tensor
    camera_bev: Tensor
    bev: Tensor
    semantic: Tensor
    embedding: Tensor
    direction: Tensor
    queries: list[tuple[Tensor, Tensor]]


class MapModel(nn.Module):
    """The student: pictures and their plan in, a map out."""

    def __init__(
        self,
        config: ModelConfig,
        camera: nn.Module,
        view: nn.Module,
        decoder: nn.Module,
        raster: nn.Module,
        query: nn.Module,
    ) -> None:
        super().__init__()
        self.config = config
        self.camera, self.view, self.decoder, self.raster, self.query = camera, view, decoder, raster, query
        centres = torch.from_numpy(config.decoder_grid.centres()).float()
        place = centres / torch.tensor([config.grid.x_max, config.grid.y_max])
        self.register_buffer("place", place.permute(2, 0, 1)[None], persistent=False)  # 1 2 Y X

    def forward(self, images: Tensor, plan: Tensor) -> MapOutput:
        """images: B N 3 H W, values 0..255; plan: B ..., from the view transform's `plan`."""
        context, detail = self.camera(images)
        camera_bev = self.view(context, detail, plan)
        seen = self.view.seen(plan)
        where = self.place.expand(len(images), -1, -1, -1)
        full, half, quarter = self.decoder(
            torch.cat([camera_bev, seen.to(camera_bev.dtype), where.to(camera_bev.dtype)], 1)
        )
        semantic, embedding, direction = self.raster(full)
        return MapOutput(context, camera_bev, full, semantic, embedding, direction, self.query((half, quarter)))
