# SPDX-License-Identifier: Apache-2.0
"""A network of HDMapNet's shape (arXiv 2107.06307), camera only: the yardstick of speed and the papers' student base.

EfficientNet-B0, one two-layer perceptron per camera from picture cells to BEV cells, a warp by the mounting, and a
BEV encoder with three full decoders (semantic, instance embedding, direction in bins). Built from the published sizes;
it keeps what the student does away with: weights that belong to a camera slot, and no use of the intrinsics.

B batch, N cameras, K classes, E embedding, D direction bins, Y X canvas cells, h w picture cells at 1/16.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.config import ModelConfig
from mapkd_core.models.camera import MEAN, STD
from mapkd_core.models.efficientnet import WIDTHS, EfficientNet
from mapkd_core.models.mobilenet import ConvNorm

CAMERAS = 6
FEATURES, EMBEDDING, DIRECTIONS = 64, 16, 37  # channels; 36 bins of 10 degrees and background
VIEW_SHRINK, WARP_SHRINK = 5, 2  # canvas cells per cell of a camera's own BEV, and of the warped one, per axis


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
        self.config = config
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("scale", 1 / (torch.tensor(STD).view(1, 3, 1, 1) * 255), persistent=False)
        self.trunk = EfficientNet()
        self.up = _TwoConvs(sum(WIDTHS), FEATURES)
        rows, columns = config.grid.shape
        self.view_shape = (rows // VIEW_SHRINK, columns // VIEW_SHRINK)
        picture_cells = (config.image_height // 16) * (config.image_width // 16)
        view_cells = self.view_shape[0] * self.view_shape[1]
        self.views = nn.ModuleList(_view(picture_cells, view_cells) for _ in range(CAMERAS))
        centres = torch.from_numpy(config.grid.coarser(WARP_SHRINK).centres()).float()
        self.register_buffer("centres", centres, persistent=False)  # Y/2 X/2 2, ego metres
        self.bev = _BevEncoder((1 + len(config.classes), EMBEDDING, DIRECTIONS))

    def forward(self, images: Tensor, K: Tensor, ego_T_camera: Tensor) -> Rasters:
        """images: B 6 3 H W, values 0..255; K: B 6 3 3, not used, as in HDMapNet; ego_T_camera: B 6 4 4."""
        b, n = images.shape[:2]
        if n != CAMERAS:
            raise ValueError(f"{n} cameras: a network of HDMapNet's shape has weights for exactly {CAMERAS}")
        features = self.camera_features(images).flatten(2)  # (B N) C hw
        per_camera = features.unflatten(0, (b, n)).unbind(1)
        maps = torch.stack([view(f) for view, f in zip(self.views, per_camera, strict=True)], 1)  # B N C cells
        warped = self._warp(maps.unflatten(-1, self.view_shape), ego_T_camera).amax(1)
        bev = functional.interpolate(warped, scale_factor=float(WARP_SHRINK), mode="bilinear", align_corners=True)
        return Rasters(*self.bev(bev))

    def camera_features(self, images: Tensor) -> Tensor:
        """B N 3 H W -> (B N) C h w."""
        x = (images.flatten(0, 1).float() - self.mean) * self.scale
        sixteenth, thirtysecond = self.trunk(x)
        return self.up(torch.cat([sixteenth, _enlarge(thirtysecond, 2)], 1))

    def _warp(self, maps: Tensor, ego_T_camera: Tensor) -> Tensor:
        """B N C y x, each in its camera's level frame (x along the view, origin below the camera) -> B N C Y/2 X/2."""
        b, n = maps.shape[:2]
        ego_T_camera = ego_T_camera.to(self.centres.dtype)
        ahead = functional.normalize(ego_T_camera[..., :2, 2], dim=-1)  # B N 2: the optical axis on the ground
        left = torch.stack([-ahead[..., 1], ahead[..., 0]], -1)
        offset = self.centres - ego_T_camera[..., None, None, :2, 3]  # B N Y X 2
        axes = torch.stack([ahead, left], -1)[:, :, None]  # B N 1 2 2
        grid = self.config.grid
        half = offset.new_tensor([(grid.x_max - grid.x_min) / 2, (grid.y_max - grid.y_min) / 2])
        where = offset @ axes / half  # a camera's own map has the canvas's size and the camera in its middle
        flat = functional.grid_sample(maps.flatten(0, 1).float(), where.flatten(0, 1), align_corners=False)
        return flat.unflatten(0, (b, n))


class _BevEncoder(nn.Module):
    """B C Y X -> one raster per entry of `outputs`: ResNet-18 up to 1/8, and a decoder for each output."""

    def __init__(self, outputs: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = ConvNorm(FEATURES, 64, 7, 2)
        self.layer1 = nn.Sequential(_Basic(64, 64, 1), _Basic(64, 64, 1))
        self.layer2 = nn.Sequential(_Basic(64, 128, 2), _Basic(128, 128, 1))
        self.layer3 = nn.Sequential(_Basic(128, 256, 2), _Basic(256, 256, 1))
        self.up1 = nn.ModuleList(_TwoConvs(64 + 256, 256) for _ in outputs)
        self.up2 = nn.ModuleList(nn.Sequential(ConvNorm(256, 128, 3), nn.Conv2d(128, out, 1)) for out in outputs)

    def forward(self, bev: Tensor) -> list[Tensor]:
        half = self.layer1(self.stem(bev))
        eighth = self.layer3(self.layer2(half))
        joined = torch.cat([half, _enlarge(eighth, 4)], 1)
        return [up2(_enlarge(up1(joined), 2)) for up1, up2 in zip(self.up1, self.up2, strict=True)]


class _Basic(nn.Module):
    """ResNet's basic block."""

    def __init__(self, inp: int, out: int, stride: int) -> None:
        super().__init__()
        self.first = ConvNorm(inp, out, 3, stride)
        self.second = ConvNorm(out, out, 3, act=False)
        is_same = stride == 1 and inp == out
        self.shortcut = nn.Identity() if is_same else ConvNorm(inp, out, 1, stride, act=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.shortcut(x) + self.second(self.first(x)))


class _TwoConvs(nn.Sequential):
    def __init__(self, inp: int, out: int) -> None:
        super().__init__(ConvNorm(inp, out, 3), ConvNorm(out, out, 3))


def _view(picture_cells: int, view_cells: int) -> nn.Sequential:
    """One camera's map from its picture's cells to the cells of its own BEV, the same for every channel."""
    layers = (nn.Linear(picture_cells, view_cells), nn.ReLU(), nn.Linear(view_cells, view_cells), nn.ReLU())
    return nn.Sequential(*layers)


def _enlarge(x: Tensor, factor: int) -> Tensor:
    return functional.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=True)
