# SPDX-License-Identifier: Apache-2.0
"""A student rewritten for speed: the same function of its inputs, with fewer operations and copies.

Batch norms go into the convolutions before them, the pictures' scale into the first one. A 1x1 convolution and an
interpolation are both linear, so they may change places: those of the decoder run before the look-up and before the
doublings, where there are fewer cells, and what was concatenated is added, in the query head, too. Rows of the raster
head that only training reads are left out. Equal to `MapModel` but for the rounding of floats (about 1e-5).

B batch, N cameras, C channels, K classes, Y X decoder cells; rasters lie on the canvas, 2Y 2X.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mapkd_core.models.map_model import MapModel
from mapkd_core.models.query_head import NudgePoint, ReadLine


def can_deploy(model: MapModel) -> bool:
    """Whether `Deployed` knows the network: cameras alone, the ground view at one height, the light decoder, lines."""
    config = model.config
    is_plain = model.lidar is None and not model.priors and model.refinement is None
    is_light = config.decoder == "light" and not config.overlapping
    return is_plain and is_light and config.view == "ground" and len(config.heights) == 1


class Deployed(nn.Module):
    """images B N 3 H W, values 0..255, plan B 1 Y X 2 -> probability B K 2Y 2X in 0..1, scores B Q K, points B Q P 2.

    Raises ValueError for a network that `can_deploy` does not take.
    """

    def __init__(self, model: MapModel) -> None:
        super().__init__()
        if not can_deploy(model):
            raise ValueError(
                "only a network of cameras with the ground view at one height, the light decoder and classes of lines "
                "can be rewritten for speed"
            )
        parts: Any = folded(model)
        width, detail = model.config.camera_width, model.config.detail_width
        self.camera, self.view, self.query = parts.camera, parts.view, parts.query
        for layer in self.query.layers:
            layer.read[0], layer.nudge[0] = _ReadInParts(layer.read[0]), _NudgeInParts(layer.nudge[0])
        with torch.no_grad():  # (x - mean) * scale, the product by the weights of the first convolution
            parts.camera.backbone.conv_stem.weight.mul_(parts.camera.scale)
        decoder = parts.decoder
        first = decoder.stem[0].conv  # context, detail, seen, x, y -> w
        self.context = _columns(first, slice(0, width))
        self.detail = _columns(first, slice(width, width + detail)) if detail else None
        place = first.weight[:, width + detail :, 0, 0].detach()  # w 3
        self.register_buffer("seen", place[:, 0].view(1, -1, 1, 1).clone())
        fixed = torch.einsum("ow,bwyx->boyx", place[:, 1:], parts.place) + first.bias.detach().view(1, -1, 1, 1)
        self.register_buffer("fixed", fixed)
        self.stem, self.down1, self.down2 = decoder.stem[1], decoder.down1, decoder.down2
        w = model.config.bev_width
        self.half_side, self.half_below = _parted(decoder.up1[0].conv, 2 * w)
        self.full_side, self.full_below = _parted(decoder.up0[0].conv, w)
        self.half_out, self.full_out = decoder.up1[1], decoder.up0[1]
        self.block = parts.raster.block
        self.classes = parts.raster.splits[0]
        self.out = _rows(parts.raster.out, 4 * self.classes)

    def forward(self, images: Tensor, plan: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        full, half, quarter = self.decode(self.bev(*self.features(images), plan))
        scores, points = self.query((half, quarter))[-1]
        return self.raster(full), scores, points

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """B N w h' w' context at 1/8, already the decoder's channels, and B N D 2h' 2w' detail."""
        images = images.float()  # before all else: TensorRT does nothing with bytes but cast them
        b, n = images.shape[:2]
        context, detail = self.camera.encode(images.flatten(0, 1) - self.camera.mean)
        return self.context(context).unflatten(0, (b, n)), detail.unflatten(0, (b, n))

    def bev(self, context: Tensor, detail: Tensor, plan: Tensor) -> Tensor:
        """B w Y X: what the first convolution of the decoder makes of the look-up."""
        points = plan[:, 0]
        seen = (points[..., 0] > -1.5).to(context.dtype).unsqueeze(1)
        bev = _sampled(context, points) + (self.fixed + seen * self.seen)
        if self.detail is not None:
            bev = bev + self.detail(_sampled(detail, points))
        return functional.relu(bev)

    def decode(self, bev: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features at full, 1/2 and 1/4 resolution of the decoder."""
        full = self.stem(bev)
        half = self.down1(full)
        quarter = self.down2(half)
        half = self.half_out(functional.relu(self.half_side(half) + _double(self.half_below(quarter))))
        full = self.full_out(functional.relu(self.full_side(full) + _double(self.full_below(half))))
        return full, half, quarter

    def raster(self, full: Tensor) -> Tensor:
        """B K 2Y 2X in 0..1; its last convolution gives each class four sub-cells."""
        return _probability(self.out(self.block(full)), self.classes)


class _ReadInParts(nn.Module):
    """`ReadLine` whose inputs need not be copied beside each other."""

    def __init__(self, whole: ReadLine) -> None:
        super().__init__()
        weight = whole.weight.detach().unflatten(1, (whole.points, -1))  # D P D/2+2
        self.along = _linear(weight[..., :-2].flatten(1), whole.bias)
        self.where = _linear(weight[..., -2:].flatten(1))

    def forward(self, along: Tensor, where: Tensor) -> Tensor:
        result: Tensor = self.along(along.flatten(2)) + self.where(where.flatten(2))
        return result


class _NudgeInParts(nn.Module):
    """`NudgePoint` that takes a query's content once for all of its points."""

    def __init__(self, whole: NudgePoint) -> None:
        super().__init__()
        weight = whole.weight.detach()
        self.content = _linear(weight[:, : whole.content], whole.bias)
        self.along = _linear(weight[:, whole.content :])

    def forward(self, content: Tensor, along: Tensor) -> Tensor:
        result: Tensor = self.content(content).unsqueeze(2) + self.along(along)
        return result


def folded(model: nn.Module) -> nn.Module:
    """A copy in eval mode in which each batch norm is part of the convolution before it."""
    copied = copy.deepcopy(model).eval().requires_grad_(False)
    for module in list(copied.modules()):
        children = list(module.named_children())
        for (conv_name, conv), (norm_name, norm) in pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())
    return copied


def _probability(logits: Tensor, classes: int) -> Tensor:
    """Softmax over classes, background left out, then sub-cells to their places: one pass over planes in memory."""
    planes = logits.unflatten(1, (classes, 4))
    exponent = (planes - planes.amax(1, keepdim=True)).exp()
    shares = exponent[:, 1:] / exponent.sum(1, keepdim=True)
    return functional.pixel_shuffle(shares.flatten(1, 2), 2)


def _sampled(features: Tensor, points: Tensor) -> Tensor:
    """B N C h w at points B Y X 2 of the stack of all cameras; single precision as in `GroundView`."""
    stack = features.transpose(1, 2).flatten(2, 3)
    return functional.grid_sample(stack.float(), points, align_corners=False).to(features.dtype)


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _columns(conv: nn.Conv2d, inputs: slice) -> nn.Conv2d:
    """The part of a 1x1 convolution that reads some of its inputs, without bias."""
    weight = conv.weight.detach()[:, inputs].clone()
    part = nn.Conv2d(weight.shape[1], weight.shape[0], 1, bias=False)
    part.weight = nn.Parameter(weight, requires_grad=False)
    return part


def _parted(conv: nn.Conv2d, side: int) -> tuple[nn.Conv2d, nn.Conv2d]:
    """What a 1x1 convolution does with its first `side` inputs, bias included, and with the others."""
    first = _columns(conv, slice(0, side))
    first.bias = conv.bias
    return first, _columns(conv, slice(side, None))


def _linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    part = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    part.weight = nn.Parameter(weight.clone(), requires_grad=False)
    if bias is not None:
        part.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return part


def _rows(conv: nn.Conv2d, outputs: int) -> nn.Conv2d:
    """A 1x1 convolution that computes only its first outputs."""
    part = _columns(conv, slice(None))
    part.out_channels = outputs
    part.weight = nn.Parameter(part.weight[:outputs].clone(), requires_grad=False)
    if conv.bias is not None:
        part.bias = nn.Parameter(conv.bias.detach()[:outputs].clone(), requires_grad=False)
    return part
