# SPDX-License-Identifier: Apache-2.0
"""MapDistill (arXiv 2407.11682): cross-modal relation, dual-level feature and map-head distillation.

The student has two BEV subspaces (`view: dual`): the ground look-up, or for the papers' networks HDMapNet's view,
stands for the teacher's cameras, lift-splat for its LiDAR. Losses as printed in the paper; the patch size is not told
there, ours is 10 cells, and how the head's points are summed is read from MapTR (`points`). `match_by_index` pairs the
queries of teacher and student by their number, as the released code does, instead of by least distance.

B batch, C channels, Y X cells, P patches, D features of a patch, Q queries, K classes, V points.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.config import ModelConfig
from mapkd_core.data.batch import Batch
from mapkd_core.distillation.losses import adapter, row_kl, square_distance
from mapkd_core.distillation.scheme import Scheme
from mapkd_core.models.map_model import MapModel, MapOutput
from mapkd_core.models.views.dual import DUAL

FOCAL_GAMMA = 2.0
POINT_WEIGHT = 10.0  # of the distance of points beside that of scores, where queries are paired; both in 0..1


@dataclass(frozen=True)
class Config:
    """relation, feature, head: lambda 1 to 3 of the paper's fig. 3. patch: side in cells. channels: of its cells.

    points: weight of the head's points against its scores. The paper's distance of points is summed over a line's, as
    MapTR's is, where truth weighs 5; ours is a mean over points and axes, where truth weighs 30 in x and in y: 60 / 5.
    """

    relation: float = 0.3
    feature: float = 0.6
    head: float = 0.9
    patch: int = 10
    channels: int = 8
    match_by_index: bool = False
    points: float = 12.0


def student(config: ModelConfig) -> ModelConfig:
    """The student with its dual view."""
    return replace(config, view=DUAL.get(config.view, config.view))


def relation(one: Tensor, other: Tensor, patch: int) -> Tensor:
    """B C Y X twice -> B P P: softmax of every patch of the one against all of the other, over sqrt(D)."""
    a, b = (functional.unfold(x.float(), patch, stride=patch).transpose(1, 2) for x in (one, other))  # B P D
    return (a @ b.transpose(1, 2) / a.shape[-1] ** 0.5).softmax(-1)


def pairs(scores: Tensor, points: Tensor, wanted_scores: Tensor, wanted_points: Tensor, by_index: bool) -> Tensor:
    """Q: for every query of the student the teacher's query, by the least sum of distances."""
    if by_index:
        return torch.arange(len(scores), device=scores.device)
    apart = torch.cdist(scores.sigmoid(), wanted_scores.sigmoid(), p=1)
    lines = torch.minimum(_apart(points, wanted_points), _apart(points, wanted_points.flip(1)))
    _, chosen = linear_sum_assignment((apart + POINT_WEIGHT * lines).detach().cpu().numpy())
    return torch.from_numpy(chosen).to(scores.device)


def head_losses(
    student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], by_index: bool, point_weight: float = 1.0
) -> Tensor:
    """Focal loss to the teacher's scores, and distance of the points, weighted by how sure the teacher is."""
    scores, points = student
    count = teacher[0].shape[1]
    losses = []
    for s, p, t_s, t_p in zip(scores[:, :count], points[:, :count], *teacher, strict=True):
        chosen = pairs(s, p, t_s, t_p, by_index)
        soft, line = t_s[chosen].sigmoid(), t_p[chosen]
        sure = soft.max(-1).values
        entropy = functional.binary_cross_entropy_with_logits(s, soft, reduction="none")
        focal = ((s.sigmoid() - soft).abs() ** FOCAL_GAMMA * entropy).sum() / sure.sum().clamp(min=1)
        away = torch.minimum((p - line).abs().mean((1, 2)), (p - line.flip(1)).abs().mean((1, 2)))
        losses.append(focal + point_weight * (sure * away).sum() / sure.sum().clamp(min=1e-6))
    return torch.stack(losses).mean()


class Distil(Scheme):
    """Only the teacher is used; it needs a LiDAR."""

    reads = ("camera_bev", "lidar_bev", "fused", "bev", "queries")

    def __init__(self, config: Config, student: ModelConfig, teacher: MapModel, coach: MapModel | None = None) -> None:
        super().__init__(config, student, teacher, coach)
        if student.view not in DUAL.values() or teacher.lidar is None:
            raise ValueError(
                f"mapdistill: student with view {student.view!r}, teacher with {teacher.config.modalities}; it needs a "
                f"student with view {' or '.join(DUAL.values())} and a teacher with a LiDAR"
            )
        if any(size % config.patch for size in student.decoder_grid.shape):
            raise ValueError(f"mapdistill.patch = {config.patch} does not divide {student.decoder_grid.shape} cells")
        known = teacher.config
        self.widths = (student.camera_channels, student.camera_width)
        self.camera_channels = known.camera_channels
        self.own = nn.ModuleList(adapter(width, config.channels) for width in self.widths)
        self.targets = nn.ModuleList(
            adapter(width, config.channels) for width in (known.camera_channels, known.lidar_width)
        )
        self.targets.requires_grad_(False)  # else both sides could agree on saying nothing
        self.low = adapter(student.bev_width, known.bev_width)
        self.high = adapter(student.bev_channels, known.bev_channels)

    def forward(self, batch: Batch, student: MapOutput) -> dict[str, Tensor]:
        c, teacher = self.config, self.answer("teacher", batch)
        assert teacher.lidar_bev is not None
        own = [net(part) for net, part in zip(self.own, student.camera_bev.split(self.widths, 1), strict=True)]
        first = teacher.camera_bev[:, : self.camera_channels]  # of a teacher with a dual view, too
        target = [net(x) for net, x in zip(self.targets, (first, teacher.lidar_bev), strict=True)]
        both_ways = [row_kl(relation(*a, c.patch), relation(*b, c.patch)) for a, b in _ways(own, target)]
        low = square_distance(self.low(student.fused), teacher.fused)
        high = square_distance(self.high(student.bev), teacher.bev)
        return {
            "relation": c.relation * torch.stack(both_ways).sum(),
            "feature": c.feature * (low + high),
            "head": c.head * head_losses(student.queries[-1], teacher.queries[-1], c.match_by_index, c.points),
        }


def _ways(own: list[Tensor], target: list[Tensor]) -> list[tuple[list[Tensor], list[Tensor]]]:
    """Camera to LiDAR, and back."""
    return [(own, target), (own[::-1], target[::-1])]


def _apart(points: Tensor, others: Tensor) -> Tensor:
    """Q V 2 twice -> Q Q: mean distance of points along each axis."""
    return torch.cdist(points.flatten(1), others.flatten(1), p=1) / points[0].numel()
