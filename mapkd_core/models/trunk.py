# SPDX-License-Identifier: Apache-2.0
"""Pictures to camera features as HDMapNet does (arXiv 2107.06307): EfficientNet-B0, its two coarsest levels joined.

B batch, N cameras, C channels, H W picture, h w picture cells at 1/16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.models.camera import MEAN, STD
from mapkd_core.models.efficientnet import WIDTHS, EfficientNet
from mapkd_core.models.resnet_decoder import TwoConvs, enlarge


class TrunkEncoder(nn.Module):
    """B N 3 H W uint8-valued pictures -> B N C H/8 W/8 context and no detail, B N 0 H/8 W/8.

    The features are of 1/16; each stands four times in the context, which other networks have at 1/8.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("scale", 1 / (torch.tensor(STD).view(1, 3, 1, 1) * 255), persistent=False)
        self.backbone = EfficientNet()
        self.up = TwoConvs(sum(WIDTHS), width)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        fine = functional.interpolate(self.features(images), scale_factor=2.0, mode="nearest")
        context = fine.unflatten(0, images.shape[:2])
        return context, context[:, :, :0]

    def features(self, images: Tensor) -> Tensor:
        """B N 3 H W -> (B N) C h w."""
        x = (images.float().flatten(0, 1) - self.mean) * self.scale
        sixteenth, thirtysecond = self.backbone(x)
        result: Tensor = self.up(torch.cat([sixteenth, enlarge(thirtysecond, 2)], 1))
        return result

    def start(self, given: dict[str, Tensor]) -> None:
        """Take the parameters of another encoder of this shape."""
        self.load_state_dict(given)
