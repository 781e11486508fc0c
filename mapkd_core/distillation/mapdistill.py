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
from mapkd_core.distillation.losses import adapter, row_kl, single_precision, square_distance
from mapkd_core.distillation.scheme import Scheme, check_heads
from mapkd_core.models.map_model import MapModel, MapOutput
from mapkd_core.models.views.dual import DUAL
from mapkd_core.training.losses import point_variants

FOCAL_GAMMA = 2.0
RING_GAP = 1.5  # steps between the ends of a ring; it would be one
POINT_WEIGHT = 10.0  # of the distance of points beside that of scores, where queries are paired; both in 0..1


@dataclass(frozen=True)
class Config:
    """relation, feature, head: lambda 1 to 3 of the paper's fig. 3. patch: side in cells. channels: of its cells.
    temperature: of the relation's cosines.

    points: weight of the head's points against its scores. The paper's distance of points is summed over a line's, as
    MapTR's is, where truth weighs 5; ours is a mean over points and axes, where truth weighs 30 in x and in y: 60 / 5.
    """

    relation: float = 0.3
    feature: float = 0.6
    head: float = 0.9
    patch: int = 10
    channels: int = 8
    temperature: float = 0.2
    match_by_index: bool = False
    points: float = 12.0


def student(config: ModelConfig) -> ModelConfig:
    """The student with its dual view."""
    return replace(config, view=DUAL.get(config.view, config.view))


def relation(one: Tensor, other: Tensor, patch: int, temperature: float) -> Tensor:
    """B C Y X twice -> B P P: softmax of every patch of the one against all of the other.

    The paper's logits are products over sqrt(D), which depend on the features' scale: of ours every patch would attend
    to all others alike, and there would be no relation to learn. Here they are cosines over a temperature.
    """
    with single_precision(one):
        a, b = (tokens(x, patch) for x in (one, other))
        return (a @ b.transpose(1, 2) / temperature).softmax(-1)


def tokens(features: Tensor, patch: int) -> Tensor:
    """B C Y X -> B P D of length one: patches of how far a cell is from its channel's mean."""
    x = features.float()
    around = (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True).clamp(min=1e-6)
    return functional.normalize(functional.unfold(around, patch, stride=patch).transpose(1, 2), dim=-1)


def pairs(scores: Tensor, points: Tensor, wanted_scores: Tensor, orders: Tensor, by_index: bool) -> Tensor:
    """Q: for every query of the student the teacher's query, by the least sum of distances. orders: see `orders_of`."""
    if by_index:
        return torch.arange(len(scores), device=scores.device)
    apart = torch.cdist(scores.sigmoid(), wanted_scores.sigmoid(), p=1)
    flat = orders.flatten(0, 1).flatten(1)  # (Q W) (V 2)
    lines = torch.cdist(points.flatten(1), flat, p=1).unflatten(1, orders.shape[:2]).min(-1).values / flat.shape[1]
    _, chosen = linear_sum_assignment((apart + POINT_WEIGHT * lines).detach().cpu().numpy())
    return torch.from_numpy(chosen).to(scores.device)


def orders_of(points: Tensor) -> Tensor:
    """Q V 2 -> Q W V 2: all orders of points that tell the same polyline, W = 2 V; of a line its two, again and again.

    A ring, which may begin anywhere, is what ends about as far from where it begins as its points are from each other
    at most: axes of 0..1 over the range stretch steps.
    """
    step = points.diff(dim=1).norm(dim=-1).amax(1)
    closed = (points[:, 0] - points[:, -1]).norm(dim=-1) < RING_GAP * step
    orders, real = point_variants(points[None], closed[None])
    return torch.where(real[0, :, :, None, None], orders[0], points[:, None])


def head_losses(
    student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor], by_index: bool, point_weight: float = 1.0
) -> Tensor:
    """Focal loss to the teacher's scores, and distance of the points, weighted by how sure the teacher is."""
    scores, points = student
    count = teacher[0].shape[1]
    losses = []
    for s, p, t_s, t_p in zip(scores[:, :count], points[:, :count], *teacher, strict=True):
        orders = orders_of(t_p)
        chosen = pairs(s, p, t_s, orders, by_index)
        soft = t_s[chosen].sigmoid()
        sure = soft.max(-1).values
        entropy = functional.binary_cross_entropy_with_logits(s, soft, reduction="none")
        focal = ((s.sigmoid() - soft).abs() ** FOCAL_GAMMA * entropy).sum() / sure.sum().clamp(min=1)
        away = (p[:, None] - orders[chosen]).abs().mean((2, 3)).min(1).values
        losses.append(focal + point_weight * (sure * away).sum() / sure.sum().clamp(min=1e-6))
    return torch.stack(losses).mean()


class Distil(Scheme):
    """Only the teacher is used; it needs a LiDAR."""

    reads = ("camera_bev", "lidar_bev", "fused", "bev", "queries")
    positive = ("patch", "channels", "temperature")

    def __init__(self, config: Config, student: ModelConfig, teacher: MapModel, coach: MapModel | None = None) -> None:
        super().__init__(config, student, teacher, coach)
        if student.view not in DUAL.values() or teacher.lidar is None:
            raise ValueError(
                f"mapdistill: student with view {student.view!r}, teacher with {teacher.config.modalities}; it needs a "
                f"student with view {' or '.join(DUAL.values())} and a teacher with a LiDAR"
            )
        if any(size % config.patch for size in student.decoder_grid.shape):
            raise ValueError(f"mapdistill.patch = {config.patch} does not divide {student.decoder_grid.shape} cells")
        if self.teaches_queries:
            check_heads("mapdistill", teacher.config, student)
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

    @property
    def teaches_queries(self) -> bool:
        return bool(self.config.head)

    def forward(self, batch: Batch, student: MapOutput) -> dict[str, Tensor]:
        c, teacher = self.config, self.answer("teacher", batch)
        assert teacher.lidar_bev is not None
        own = [net(part) for net, part in zip(self.own, student.camera_bev.split(self.widths, 1), strict=True)]
        first = teacher.camera_bev[:, : self.camera_channels]  # of a teacher with a dual view, too
        target = [net(x) for net, x in zip(self.targets, (first, teacher.lidar_bev), strict=True)]
        both_ways = [row_kl(*(relation(*x, c.patch, c.temperature) for x in (a, b))) for a, b in _ways(own, target)]
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
