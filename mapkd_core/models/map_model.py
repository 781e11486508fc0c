# SPDX-License-Identifier: Apache-2.0
"""MapModel: camera features -> BEV -> BEV -> rasters and polylines, the parts in order.

B batch, N cameras, K classes, Y X decoder cells; rasters lie on the canvas, 2Y 2X.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from mapkd_core.config import ModelConfig
from mapkd_core.models.camera import CameraEncoder
from mapkd_core.models.prior import LAYERS
from mapkd_core.models.simulated_lidar import SimulatedLidar
from mapkd_core.models.trunk import TrunkEncoder


@dataclass
class MapOutput:
    """Named stages, which losses and distillation read.

    camera: B N C h w, camera features at 1/8. camera_bev: B C Y X, what the view transform made. bev: B w Y X, after
    the decoder.
    semantic: B 1+K 2Y 2X logits, channel 0 background; of layers that may overlap B K 2Y 2X, for a sigmoid each.
    embedding: B E 2Y 2X. direction: B 2 2Y 2X.
    fused: B w Y X, all inputs through the decoder's stem. bottleneck: B 4w Y/4 X/4, inside the decoder, before any
    prior. Their channels are those of the light decoder; `config` knows them of every one (bev_channels,
    bottleneck_width). lidar_bev: B L Y X, a coach's from its simulated LiDAR; None without either.
    coarse: the semantic logits before a refinement; None where the network has none, and they are `semantic`.
    queries: per refinement (scores B Q K logits, points B Q P 2 in [0, 1]), the last is the answer.
    """

    camera: Tensor
    camera_bev: Tensor
    bev: Tensor
    semantic: Tensor
    embedding: Tensor
    direction: Tensor
    queries: list[tuple[Tensor, Tensor]]
    fused: Tensor
    bottleneck: Tensor
    lidar_bev: Tensor | None = None
    coarse: Tensor | None = None


class MapModel(nn.Module):
    """Student, coach or teacher, by the parts it is given: pictures and their plan in, and what more it may know.

    lidar: LiDAR points -> B L Y X, or a coach's SimulatedLidar. priors: name -> encoder of that prior's raster, read by
    the decoder's attention. refinement: semantic logits -> semantic logits, B 1+K 2Y 2X. laid: the HD prior's raster ->
    B W Y X beside the other inputs of the decoder.
    """

    def __init__(
        self,
        config: ModelConfig,
        camera: nn.Module,
        view: nn.Module,
        decoder: nn.Module,
        raster: nn.Module,
        query: nn.Module,
        lidar: nn.Module | None = None,
        priors: dict[str, nn.Module] | None = None,
        refinement: nn.Module | None = None,
        laid: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.laid = laid
        self.lidar, self.priors, self.refinement = lidar, nn.ModuleDict(priors or {}), refinement
        self.config = config
        self.camera, self.view, self.decoder, self.raster, self.query = camera, view, decoder, raster, query
        centres = torch.from_numpy(config.decoder_grid.centres()).float()
        place = centres / centres.new_tensor([config.grid.x_max, config.grid.y_max])
        self.register_buffer("place", place.permute(2, 0, 1)[None], persistent=False)  # 1 2 Y X

    def forward(
        self,
        images: Tensor,
        plan: Tensor,
        points: Tensor | None = None,
        sd: Tensor | None = None,
        hd: Tensor | None = None,
        frustum: Tensor | None = None,
    ) -> MapOutput:
        """images: B N 3 H W, values 0..255; plan: B ..., from the view transform's `plan`.

        points: B P 5, see PillarEncoder; sd, hd: B l Y X rasters; frustum: B N D h w, see SimulatedLidar. What the
        network knows and does not get counts as it was lost in training (no point, a map without a line), but for the
        frustum, which calibration always gives; what it does not know is not looked at.
        """
        context, detail = self.camera(images)
        camera_bev = self.view(context, detail, plan)
        seen = self.view.seen(plan)
        where = self.place.expand(len(images), -1, -1, -1)
        parts = [camera_bev, seen.to(camera_bev.dtype), where.to(camera_bev.dtype)]
        lidar_bev = self._lidar_bev(images, points, frustum)
        if lidar_bev is not None:
            parts.append(lidar_bev.to(camera_bev.dtype))
        maps = {
            name: camera_bev.new_zeros(len(images), LAYERS[name], *where.shape[2:]) if raster is None else raster
            for name, raster in (("sd", sd), ("hd", hd))
            if name in self.priors
        }
        if self.laid is not None:
            parts.append(self.laid(maps["hd"]).to(camera_bev.dtype))
        tokens = [encoder(maps[name]) for name, encoder in self.priors.items()]
        full, half, quarter, fused, bottleneck = self.decoder(torch.cat(parts, 1), tokens)
        semantic, embedding, direction = self.raster(full)
        coarse = None if self.refinement is None else semantic
        if self.refinement is not None:
            semantic = self.refinement(semantic)
        queries = self.query((half, quarter))
        return MapOutput(
            context, camera_bev, full, semantic, embedding, direction, queries, fused, bottleneck, lidar_bev, coarse
        )

    @property
    def camera_encoders(self) -> list[CameraEncoder | TrunkEncoder]:
        """All that look at pictures, a coach's second one last. What starts one of them starts them all."""
        second = [self.lidar.encoder] if isinstance(self.lidar, SimulatedLidar) else []
        return [cast(CameraEncoder | TrunkEncoder, self.camera), *second]

    def _lidar_bev(self, images: Tensor, points: Tensor | None, frustum: Tensor | None) -> Tensor | None:
        if self.lidar is None:
            return None
        if isinstance(self.lidar, SimulatedLidar):
            return self.lidar(images, frustum)
        found: Tensor = self.lidar(
            images.new_zeros(len(images), 0, 5, dtype=torch.float32) if points is None else points
        )
        return found
