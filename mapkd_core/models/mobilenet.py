# SPDX-License-Identifier: Apache-2.0
"""MobileNetV4-conv-small (arXiv 2404.10518), cut after stage 4: pictures to features at 1/4, 1/8, 1/16 and 1/32.

The parameter names are those of timm's `mobilenetv4_conv_small`, so that a pretrained file of the user's loads with
`load_pretrained`. B batch, C channels, H W picture.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

# One row per block. ("conv", kernel, stride, channels) or
# ("inverted", kernel before expansion, kernel after expansion, stride, expansion, channels); kernel 0 = absent.
STAGES: tuple[tuple[tuple, ...], ...] = (
    (("conv", 3, 2, 32), ("conv", 1, 1, 32)),
    (("conv", 3, 2, 96), ("conv", 1, 1, 64)),
    (("inverted", 5, 5, 2, 3, 96), *[("inverted", 0, 3, 1, 2, 96)] * 4, ("inverted", 3, 0, 1, 4, 96)),
    (
        ("inverted", 3, 3, 2, 6, 128),
        ("inverted", 5, 5, 1, 4, 128),
        ("inverted", 0, 5, 1, 4, 128),
        ("inverted", 0, 5, 1, 3, 128),
        *[("inverted", 0, 3, 1, 4, 128)] * 2,
    ),
)
WIDTHS = (32, 64, 96, 128)  # channels at 1/4, 1/8, 1/16, 1/32


class MobileNet(nn.Module):
    """B 3 H W (normalised) -> features at 1/4, 1/8, 1/16, 1/32 with WIDTHS channels. H, W multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = nn.Conv2d(3, 32, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.act = nn.ReLU(inplace=True)
        self.blocks = nn.Sequential()
        channels = 32
        for rows in STAGES:
            stage = nn.Sequential()
            for row in rows:
                stage.append(_block(channels, row))
                channels = row[-1]
            self.blocks.append(stage)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.act(self.bn1(self.conv_stem(images)))
        features = []
        for stage in self.blocks:
            x = stage(x)
            features.append(x)
        return features

    def load_pretrained(self, path: Path | str) -> None:
        """Load a timm `mobilenetv4_conv_small` safetensors file; its classifier is ignored.

        Raises ValueError when a parameter is missing, naming the first ones.
        """
        missing, _ = self.load_state_dict(load_file(path), strict=False)
        if missing:
            raise ValueError(f"{path} lacks {len(missing)} parameters of MobileNetV4-conv-small, first {missing[:3]}")


class ConvNorm(nn.Module):
    """Convolution, batch norm and, if `act`, a ReLU."""

    def __init__(self, inp: int, out: int, kernel: int, stride: int = 1, groups: int = 1, *, act: bool = True) -> None:
        super().__init__()
        kind = nn.Conv2d if groups == 1 else Depthwise
        self.conv = kind(inp, out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out)
        self.act = nn.ReLU(inplace=True) if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class Depthwise(nn.Conv2d):
    """A convolution that stays in single precision on a CPU under autocast: bf16 takes up to 12 times as long there."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float())
        return super().forward(x)


class _ConvBlock(nn.Module):
    """ConvNorm under the names that timm gives to this block."""

    def __init__(self, inp: int, out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inp, out, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn1(self.conv(x)))


class _InvertedBlock(nn.Module):
    """Universal inverted bottleneck: [depthwise] -> expand -> [depthwise] -> project, with a shortcut where it fits."""

    def __init__(self, inp: int, out: int, start: int, middle: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inp * expansion
        start_stride = 1 if middle else stride
        self.dw_start = ConvNorm(inp, inp, start, start_stride, inp, act=False) if start else nn.Identity()
        self.pw_exp = ConvNorm(inp, wide, 1)
        self.dw_mid = ConvNorm(wide, wide, middle, stride, wide) if middle else nn.Identity()
        self.pw_proj = ConvNorm(wide, out, 1, act=False)
        self.has_shortcut = stride == 1 and inp == out

    def forward(self, x: Tensor) -> Tensor:
        y = self.pw_proj(self.dw_mid(self.pw_exp(self.dw_start(x))))
        return x + y if self.has_shortcut else y


def _block(channels: int, row: tuple) -> nn.Module:
    kind, *sizes = row
    if kind == "conv":
        kernel, stride, out = sizes
        return _ConvBlock(channels, out, kernel, stride)
    start, middle, stride, expansion, out = sizes
    return _InvertedBlock(channels, out, start, middle, stride, expansion)
