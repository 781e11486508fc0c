# SPDX-License-Identifier: Apache-2.0
"""LiDAR points to BEV features by pillars (PointPillars, arXiv 1812.05784): a small network a point, then a maximum.

For teachers; a student has no LiDAR. B batch, P points, L channels, Y X decoder cells.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core import over_ranks
from mapkd_core.grid import BevGrid
from mapkd_core.models.mobilenet import ConvNorm

POINT_FEATURES = 9  # x y z over the range, intensity, age, place in the cell (2), height over 1 m, one
NO_POINT_M = 1e6  # x of the rows that fill a batch up


class PillarEncoder(nn.Module):
    """B P 5 (x y z in ego metres, intensity 0..255, seconds) -> B L Y X; cells without a point start from zero."""

    def __init__(self, grid: BevGrid, width: int) -> None:
        super().__init__()
        self.grid, self.width = grid, width
        self.point = nn.Linear(POINT_FEATURES, width, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.bev = nn.Sequential(ConvNorm(width, width, 3), ConvNorm(width, width, 3))

    def forward(self, points: Tensor) -> Tensor:
        g, (rows, columns) = self.grid, self.grid.shape
        cells = (points[..., :2] - points.new_tensor([g.x_min, g.y_min])) / g.cell  # B P 2
        size = cells.new_tensor([columns, rows])
        frame, index = ((cells >= 0) & (cells < size)).all(-1).nonzero(as_tuple=True)
        inside, cell = points[frame, index], cells[frame, index]
        corner = cell.floor()
        flat = (frame * rows + corner[:, 1].long()) * columns + corner[:, 0].long()
        pillars = points.new_zeros(len(points) * rows * columns, self.width)
        # A batch norm needs two, but for one over several processes, of which none may stay away.
        if len(flat) > 1 or (self.training and over_ranks.several()):
            values = functional.relu(self.norm(self.point(self._features(inside, cell - corner))))
            # No value is negative, so the zero that a cell starts from changes no maximum.
            values = values.to(pillars.dtype)
            pillars = pillars.scatter_reduce(0, flat.unsqueeze(1).expand_as(values), values, "amax")
        return self.bev(pillars.view(len(points), rows, columns, self.width).permute(0, 3, 1, 2))

    def _features(self, points: Tensor, place: Tensor) -> Tensor:
        """M 5 points and M 2 places in their cells -> M 9, all of the order of one."""
        reach = points.new_tensor([self.grid.x_max, self.grid.y_max])
        z = points[:, 2:3]
        raised = functional.relu(z - 1.0)
        return torch.cat(
            [points[:, :2] / reach, z, points[:, 3:4] / 64, points[:, 4:5] * 10, place - 0.5, raised, z * 0 + 1], 1
        )
