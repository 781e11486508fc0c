# SPDX-License-Identifier: Apache-2.0
"""Pictures to camera features: a small backbone, its coarse levels folded back to 1/8, and fine detail at 1/4.

B batch, N cameras, C channels, H W picture, h w features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.models.mobilenet import WIDTHS, ConvNorm, MobileNet

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class CameraEncoder(nn.Module):
    """B N 3 H W uint8-valued pictures -> B N C H/8 W/8 context and B N D H/4 W/4 detail; D may be 0."""

    def __init__(self, width: int, detail: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("scale", 1 / (torch.tensor(STD).view(1, 3, 1, 1) * 255), persistent=False)
        self.backbone = MobileNet()
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in WIDTHS[1:])
        self.smooth = ConvNorm(width, width, 3)
        self.detail = ConvNorm(WIDTHS[0], detail, 1) if detail else None

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        images = images.float()  # before all else: TensorRT does nothing with bytes but cast them
        b, n = images.shape[:2]
        context, fine = self.encode((images.flatten(0, 1) - self.mean) * self.scale)
        return context.unflatten(0, (b, n)), fine.unflatten(0, (b, n))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B N) 3 H W normalised pictures -> (B N) C H/8 W/8 context, (B N) D H/4 W/4 detail."""
        quarter, eighth, sixteenth, thirtysecond = self.backbone(x)
        top = self.lateral[2](thirtysecond)
        middle = self.lateral[1](sixteenth) + functional.interpolate(top, scale_factor=2.0, mode="nearest")
        context = self.lateral[0](eighth) + functional.interpolate(middle, scale_factor=2.0, mode="nearest")
        fine = quarter[:, :0] if self.detail is None else self.detail(quarter)
        return self.smooth(context), fine

    def start(self, given: dict[str, Tensor]) -> None:
        """Take the parameters of another encoder of these widths; its detail is left where there is none here."""
        self.load_state_dict({k: v for k, v in given.items() if self.detail is not None or not k.startswith("detail.")})
