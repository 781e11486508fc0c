# SPDX-License-Identifier: Apache-2.0
"""HDMapNet's BEV encoder (arXiv 2107.06307), with P-MapNet's neck before it: the decoder of the papers' networks.

ResNet-18 up to 1/8 of the canvas and a full decoder for each raster; six times the operations of ours. P-MapNet (arXiv
2403.10521) takes the BEV down to 1/8 and up again before that, and asks its map priors there; MapKD's student has this
neck, too. Widths are HDMapNet's for w = 64. B batch, C channels, Y X canvas cells, y x decoder cells, half as many.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.models.mobilenet import ConvNorm


class ResNetDecoder(nn.Module):
    """B C y x -> features at y x, 1/2 and 1/4 of it with 5w, 2w and 4w channels, as `BevDecoder` but for the first.

    With them come the stem's answer, w channels at y x, and the bottleneck at 1/4: of the neck, `neck` channels, or,
    without one (0), ResNet's own. Priors are asked there.
    """

    def __init__(self, inp: int, width: int, neck: int = 0, attention: nn.Module | None = None) -> None:
        super().__init__()
        w = width
        self.attention = attention
        self.neck = _down(inp, neck) if neck else None
        self.back = _back(neck, learned=attention is not None) if neck else None
        self.stem = ConvNorm(neck or inp, w, 7, 2)
        self.layer1 = nn.Sequential(Basic(w, w, 1), Basic(w, w, 1))
        self.layer2 = nn.Sequential(Basic(w, 2 * w, 2), Basic(2 * w, 2 * w, 1))
        self.layer3 = nn.Sequential(Basic(2 * w, 4 * w, 2), Basic(4 * w, 4 * w, 1))

    def forward(self, bev: Tensor, priors: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        canvas = enlarge(bev, 2)
        bottleneck = None
        if self.neck is not None and self.back is not None:
            bottleneck = self.neck(canvas)
            canvas = self.back(self._asked(bottleneck, priors))
        fused = self.layer1(self.stem(canvas))
        half = self.layer2(fused)
        quarter = self.layer3(half)
        if bottleneck is None:
            bottleneck, quarter = quarter, self._asked(quarter, priors)
        return torch.cat([fused, enlarge(quarter, 4)], 1), half, quarter, fused, bottleneck

    def _asked(self, bev: Tensor, priors: Sequence[Tensor]) -> Tensor:
        return bev if self.attention is None else self.attention(bev, priors)


class FullRasterHead(nn.Module):
    """B 5w y x -> one raster on the canvas, B out Y X, per entry of `outputs`, each by a decoder of its own."""

    def __init__(self, width: int, outputs: tuple[int, ...]) -> None:
        super().__init__()
        w = width
        self.up1 = nn.ModuleList(TwoConvs(5 * w, 4 * w) for _ in outputs)
        self.up2 = nn.ModuleList(nn.Sequential(ConvNorm(4 * w, 2 * w, 3), nn.Conv2d(2 * w, n, 1)) for n in outputs)

    def forward(self, bev: Tensor) -> tuple[Tensor, ...]:
        return tuple(up2(enlarge(up1(bev), 2)).float() for up1, up2 in zip(self.up1, self.up2, strict=True))


class Basic(nn.Module):
    """ResNet's basic block."""

    def __init__(self, inp: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = ConvNorm(inp, out, 3, stride)
        self.second = ConvNorm(out, out, 3, act=False)
        is_same = stride == 1 and inp == out
        self.shortcut = nn.Identity() if is_same else Shortcut(inp, out, stride)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.shortcut(x) + self.second(self.first(x)))


class Shortcut(ConvNorm):
    """A 1x1 convolution of every `stride`-th cell, taken before it.

    oneDNN 3.12's gradient of a strided one, of channels that are no multiple of 8, crashes on processors of AVX2.
    """

    def __init__(self, inp: int, out: int, stride: int) -> None:
        super().__init__(inp, out, 1, act=False)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[..., :: self.stride, :: self.stride])


class TwoConvs(nn.Sequential):
    """Two 3x3 convolutions with their norms."""

    def __init__(self, inp: int, out: int) -> None:
        super().__init__(ConvNorm(inp, out, 3), ConvNorm(out, out, 3))


def enlarge(x: Tensor, factor: int) -> Tensor:
    """Bilinear, corner on corner, as HDMapNet does everywhere."""
    return functional.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=True)


def _down(inp: int, width: int) -> nn.Sequential:
    convs = (nn.Conv2d(inp if i == 0 else width, width, 4, 2, 1) for i in range(3))
    return nn.Sequential(*convs, nn.BatchNorm2d(width), nn.ReLU())


def _back(width: int, *, learned: bool) -> nn.Module:
    """P-MapNet's three transposed convolutions; MapKD's student, which asks no prior, has none."""
    if not learned:
        return nn.Upsample(scale_factor=8.0, mode="bilinear", align_corners=False)
    return nn.Sequential(
        *(nn.ConvTranspose2d(width, width, 4, 2, 1) for _ in range(3)), nn.BatchNorm2d(width), nn.ReLU()
    )
