# SPDX-License-Identifier: Apache-2.0
"""HDMapNet's view transform (arXiv 2107.06307): one two-layer perceptron per camera from picture cells to BEV cells.

What it learns belongs to a camera's slot and holds for this rig alone; the mounting is used afterwards, to warp each
camera's BEV into the ego frame, and the intrinsics never. For the papers' networks (config/train/paper).
B batch, N cameras, C channels, h w picture cells at 1/16, y x decoder cells.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.config import ModelConfig

CAMERAS = 6
SHRINK = 5  # canvas cells per cell of a camera's own BEV and axis


class PerspectiveView(nn.Module):
    """B N C 2h 2w context, of which every second cell is read, and the plan B N 4 4 -> B C y x."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config, self.out_channels = config, config.camera_width
        rows, columns = config.grid.shape
        if rows % SHRINK or columns % SHRINK:
            raise ValueError(f"canvas of {rows} x {columns} cells: view perspective shrinks it by {SHRINK}")
        self.shape = (rows // SHRINK, columns // SHRINK)
        picture_cells = (config.image_height // 16) * (config.image_width // 16)
        self.views = nn.ModuleList(_view(picture_cells, self.shape[0] * self.shape[1]) for _ in range(CAMERAS))
        centres = torch.from_numpy(config.decoder_grid.centres()).float()
        self.register_buffer("centres", centres, persistent=False)  # y x 2, ego metres

    @staticmethod
    def plan(config: ModelConfig, K: NDArray, ego_T_camera: NDArray, valid: NDArray) -> NDArray[np.float32]:
        """N 4 4: the mounting; a camera that is not valid is a black picture, as nothing else is told."""
        return ego_T_camera.astype(np.float32)

    @staticmethod
    def observed(config: ModelConfig, plan: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Everywhere: it does not know where a camera looks."""
        return np.ones(config.decoder_grid.shape, bool)

    def seen(self, plan: Tensor) -> Tensor:
        """B 1 y x of ones."""
        return plan.new_ones(len(plan), 1, *self.centres.shape[:2])

    def forward(self, context: Tensor, detail: Tensor, plan: Tensor) -> Tensor:
        """Raises ValueError for another number of cameras than six."""
        if context.shape[1] != CAMERAS:
            raise ValueError(
                f"{context.shape[1]} cameras: a network of HDMapNet's shape has weights for exactly {CAMERAS}"
            )
        per_camera = context[..., ::2, ::2].flatten(3).unbind(1)  # B C hw each
        maps = torch.stack([view(f) for view, f in zip(self.views, per_camera, strict=True)], 1)  # B N C cells
        return self.warp(maps.unflatten(-1, self.shape), plan).amax(1)

    def warp(self, maps: Tensor, ego_T_camera: Tensor) -> Tensor:
        """Each camera's map, in its level frame (x along the view, origin below it), to the ego frame: B N C y x."""
        b, n = maps.shape[:2]
        ego_T_camera = ego_T_camera.to(self.centres.dtype)
        ahead = functional.normalize(ego_T_camera[..., :2, 2], dim=-1)  # B N 2: the optical axis on the ground
        left = torch.stack([-ahead[..., 1], ahead[..., 0]], -1)
        offset = self.centres - ego_T_camera[..., None, None, :2, 3]  # B N y x 2
        axes = torch.stack([ahead, left], -1)[:, :, None]  # B N 1 2 2
        grid = self.config.grid
        half = offset.new_tensor([(grid.x_max - grid.x_min) / 2, (grid.y_max - grid.y_min) / 2])
        where = offset @ axes / half  # a camera's own map has the canvas's size and the camera in its middle
        flat = functional.grid_sample(maps.flatten(0, 1).float(), where.flatten(0, 1), align_corners=False)
        return flat.unflatten(0, (b, n))


def _view(picture_cells: int, view_cells: int) -> nn.Sequential:
    """One camera's map from its picture's cells to the cells of its own BEV, the same for every channel."""
    layers = (nn.Linear(picture_cells, view_cells), nn.ReLU(), nn.Linear(view_cells, view_cells), nn.ReLU())
    return nn.Sequential(*layers)
