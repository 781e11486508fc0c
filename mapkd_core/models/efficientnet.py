# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-B0 (arXiv 1905.11946) without its classifier: pictures to features at 1/16 and 1/32.

The trunk of HDMapNet and of the papers that build on it. Parameter names are those of the public PyTorch checkpoint
`efficientnet-b0` (lukemelas), so that a user's file loads with `load_pretrained`. Stochastic depth is left out.
B batch, C channels, H W picture.
"""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

# repeats, kernel, stride of the first, expansion, channels (table 1 of the paper, stages 2 to 8)
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
WIDTHS = (112, 320)  # channels at 1/16 and 1/32
_LAST_SIXTEENTH = 10  # the block whose output is the last one at 1/16


class EfficientNet(nn.Module):
    """B 3 H W (normalised) -> B 112 H/16 W/16 and B 320 H/32 W/32. H, W multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _SameConv(3, 32, 3, 2)
        self._bn0 = _norm(32)
        blocks, channels = [], 32
        for repeats, kernel, stride, expansion, out in STAGES:
            for repeat in range(repeats):
                blocks.append(_Block(channels, out, kernel, stride if repeat == 0 else 1, expansion))
                channels = out
        self._blocks = nn.ModuleList(blocks)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = functional.silu(self._bn0(self._conv_stem(images)))
        sixteenth = x
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index == _LAST_SIXTEENTH:
                sixteenth = x
        return sixteenth, x

    def load_pretrained(self, path: Path | str) -> None:
        """Load a safetensors file with the public checkpoint's names; its classifier is ignored.

        Raises ValueError when a parameter is missing, naming the first ones.
        """
        missing, _ = self.load_state_dict(load_file(path), strict=False)
        if missing:
            raise ValueError(f"{path} lacks {len(missing)} parameters of EfficientNet-B0, first {missing[:3]}")


class _Block(nn.Module):
    """Expand, depthwise, squeeze and excite, project; a shortcut where it fits."""

    def __init__(self, inp: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide, squeezed = inp * expansion, max(1, inp // 4)
        self.is_expanding = expansion > 1
        if self.is_expanding:
            self._expand_conv = nn.Conv2d(inp, wide, 1, bias=False)
            self._bn0 = _norm(wide)
        self._depthwise_conv = _SameConv(wide, wide, kernel, stride, groups=wide)
        self._bn1 = _norm(wide)
        self._se_reduce = nn.Conv2d(wide, squeezed, 1)
        self._se_expand = nn.Conv2d(squeezed, wide, 1)
        self._project_conv = nn.Conv2d(wide, out, 1, bias=False)
        self._bn2 = _norm(out)
        self.has_shortcut = stride == 1 and inp == out

    def forward(self, x: Tensor) -> Tensor:
        y = functional.silu(self._bn0(self._expand_conv(x))) if self.is_expanding else x
        y = functional.silu(self._bn1(self._depthwise_conv(y)))
        squeezed = functional.silu(self._se_reduce(functional.adaptive_avg_pool2d(y, 1)))
        y = self._bn2(self._project_conv(y * self._se_expand(squeezed).sigmoid()))
        return x + y if self.has_shortcut else y


class _SameConv(nn.Conv2d):
    """TensorFlow's `same` padding, with which the checkpoint was trained: an odd pixel goes to the right and below."""

    def __init__(self, inp: int, out: int, kernel: int, stride: int, groups: int = 1) -> None:
        super().__init__(inp, out, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for length, kernel, stride in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(functional.pad(x, pads))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)
