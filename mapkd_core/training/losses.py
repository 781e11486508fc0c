# SPDX-License-Identifier: Apache-2.0
"""Map losses: {name: value}, unweighted; of several processes' losses the mean is that of all their frames.

B batch, K classes, E embedding, Q queries, M elements, P points, V variants.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from mapkd_core import over_ranks
from mapkd_core.data.batch import Batch
from mapkd_core.models.map_model import MapOutput

FOREGROUND_WEIGHT = 2.0  # as HDMapNet's 2.13: lines are a tenth of the cells
SEMANTIC, POSITIVE_WEIGHT = ("softmax", "sigmoid"), 2.13  # of HDMapNet's sigmoids, MapKD's and P-MapNet's, too
PULL_MARGIN, PUSH_MARGIN = 0.5, 3.0  # discriminative loss, arXiv 1708.02551
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0
COST_CLASS, COST_POINT = 2.0, 25.0  # MapTR sums its cost of 5 over 20 points; ours is a mean


def map_losses(output: MapOutput, batch: Batch, groups: int, kind: str = "softmax") -> dict[str, Tensor]:
    """Every loss of the map task; of a network of layers there is one. kind: of `semantic_losses`."""
    if batch.layers is not None:
        return {"semantic": layer_loss(output.semantic, batch.layers)}
    semantic, dice = semantic_losses(output.semantic, batch.labels, kind)
    losses = {
        "semantic": semantic,
        "dice": dice,
        "embedding": discriminative_loss(output.embedding[..., ::2, ::2], batch.instances[:, ::2, ::2]),
        "direction": direction_loss(output.direction, batch.direction),
    }
    return losses | query_losses(output.queries, batch, groups)


def layer_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """BEVFusion's: sigmoid focal loss without alpha, mean over the known cells of a layer, summed over layers.

    B K Y X twice; truth 1, 0, or negative where unknown, which counts for nothing.
    """
    known = (truth >= 0).to(logits.dtype)
    wanted = truth.clamp(min=0).to(logits.dtype)
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    focal_loss = (logits.sigmoid() - wanted).abs() ** FOCAL_GAMMA * entropy * known
    return (focal_loss.sum((0, 2, 3)) / over_ranks.divisor(known.sum((0, 2, 3)))).sum()


def semantic_losses(logits: Tensor, labels: Tensor, kind: str = "softmax") -> tuple[Tensor, Tensor]:
    """Weighted cross entropy, and 1 - soft Dice per class over the batch, which follows the IoU it is judged by.

    kind: softmax over background and classes; or sigmoid, one for each, as in HDMapNet (2107.06307) and those after
    it: mean over cells and channels, true ones 2.13 times as heavy. The map is the largest logit either way.
    """
    log_probability = logits.log_softmax(1)
    if kind == "sigmoid":
        entropy = _of_each(logits, labels)
    else:
        weights = logits.new_full((logits.shape[1],), FOREGROUND_WEIGHT)
        weights[0] = 1.0
        entropy = functional.nll_loss(log_probability, labels, weights, reduction="sum")
        entropy = entropy / over_ranks.divisor(weights[labels].sum())
    probability = log_probability.exp()
    right = probability.gather(1, labels.unsqueeze(1)).flatten()  # probability of the true class, cell by cell
    classes = logits.shape[1]
    overlap = right.new_zeros(classes).index_add(0, labels.flatten(), right)
    total = probability.sum((0, 2, 3)) + torch.bincount(labels.flatten(), minlength=classes)
    overlap, total = over_ranks.total(torch.stack([overlap, total]))
    return entropy, (1 - (2 * overlap + 1) / (total + 1))[1:].mean()


def _of_each(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy of every channel's sigmoid, background's, too."""
    truth = functional.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(logits.dtype)
    heavy = logits.new_full((logits.shape[1], 1, 1), POSITIVE_WEIGHT)
    return functional.binary_cross_entropy_with_logits(logits, truth, pos_weight=heavy)


def discriminative_loss(embedding: Tensor, instances: Tensor) -> Tensor:
    """Cells of one instance close to their mean, the means apart; averaged over the frames that have lines."""
    losses = []
    for frame, ids in zip(embedding, instances, strict=True):
        on_line = ids > 0
        _, index = ids[on_line].unique(return_inverse=True)
        if index.numel() == 0:
            continue
        cells = frame[:, on_line].T  # cells E
        count = int(index.max()) + 1
        sizes = torch.bincount(index, minlength=count).to(cells.dtype).unsqueeze(1)
        means = cells.new_zeros(count, cells.shape[1]).index_add(0, index, cells) / sizes
        stray = (cells - means[index]).square().sum(1).add(1e-8).sqrt()
        pull = (functional.relu(stray - PULL_MARGIN).square() / sizes[index, 0]).sum() / count
        apart = (means.unsqueeze(0) - means.unsqueeze(1)).square().sum(-1).add(1e-8).sqrt()
        close = functional.relu(PUSH_MARGIN - apart).square().triu(1)
        losses.append(pull + 2 * close.sum() / max(1, count * (count - 1)))
    frames = over_ranks.divisor(embedding.new_tensor(len(losses)))
    return (torch.stack(losses).sum() if losses else embedding.sum() * 0.0) / frames


def direction_loss(direction: Tensor, target: Tensor) -> Tensor:
    """1 - cosine between predicted and true (cos 2a, sin 2a) on the lines."""
    on_line = target.abs().sum(1) > 0
    agreement = (functional.normalize(direction, dim=1) * target).sum(1)
    return ((1 - agreement) * on_line).sum() / over_ranks.divisor(on_line.sum())


def query_losses(layers: list[tuple[Tensor, Tensor]], batch: Batch, groups: int) -> dict[str, Tensor]:
    """MapTR's losses (arXiv 2208.14437, eq. 4-8), mean over layers: focal class, L1 points, cosine of the edges."""
    variants, real = point_variants(batch.element_points, batch.element_closed)
    sums: dict[str, list[Tensor]] = {"class": [], "point": [], "edge": []}
    for scores, points in layers:
        b, _, p, _ = points.shape
        scores, points = scores.view(b * groups, -1, scores.shape[-1]), points.view(b * groups, -1, p, 2)
        rows, queries, elements, which = match(scores, points, batch.element_classes, variants, real, groups)
        truth = torch.zeros_like(scores)
        count = over_ranks.divisor(scores.new_tensor(len(rows)))
        # Of several processes all have the same graph, since gradients are sent in its order.
        if len(rows) or over_ranks.several():
            frames = rows // groups
            truth[rows, queries, batch.element_classes[frames, elements]] = 1.0
            wanted, found = variants[frames, elements, which], points[rows, queries]
            sums["point"].append((wanted - found).abs().sum((1, 2)).sum() / (count * p))
            edges = functional.cosine_similarity(wanted.diff(dim=1), found.diff(dim=1), dim=-1, eps=1e-4)
            sums["edge"].append((1 - edges).sum() / (count * (p - 1)))
        sums["class"].append(focal(scores, truth) / count)
    zero = layers[0][0].sum() * 0.0
    return {name: torch.stack(values).mean() if values else zero for name, values in sums.items()}


def focal(logits: Tensor, truth: Tensor) -> Tensor:
    """Sum of the sigmoid focal loss (arXiv 1708.02002)."""
    probability = logits.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    right = probability * truth + (1 - probability) * (1 - truth)
    alpha = FOCAL_ALPHA * truth + (1 - FOCAL_ALPHA) * (1 - truth)
    return (alpha * (1 - right) ** FOCAL_GAMMA * entropy).sum()


def point_variants(points: Tensor, closed: Tensor) -> tuple[Tensor, Tensor]:
    """All point orders that describe the same element: B M V P 2, V = 2 P, and which of them are real, B M V.

    A line reads the same from both ends; a ring from every vertex, both ways round.
    """
    p = points.shape[2]
    shifts = (torch.arange(p).unsqueeze(0) + torch.arange(p).unsqueeze(1)) % p
    order = torch.cat([shifts, shifts.flip(1)]).to(points.device)  # V P; rows 0 and P are forth and back
    is_line = torch.zeros(2 * p, dtype=torch.bool, device=points.device)
    is_line[[0, p]] = True
    return points[:, :, order], closed.unsqueeze(-1) | is_line


@torch.no_grad()
def match(
    scores: Tensor, points: Tensor, classes: Tensor, variants: Tensor, real: Tensor, groups: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One query for each element and group, by the least cost: rows (of B G), queries, elements and variants, flat."""
    found: list[list[np.ndarray]] = [[], [], [], []]
    for row in range(len(scores)):
        frame = row // groups
        count = int((classes[frame] >= 0).sum())
        if count == 0:
            continue
        probability = scores[row].sigmoid()
        positive = FOCAL_ALPHA * (1 - probability) ** 2 * -(probability + 1e-8).log()
        negative = (1 - FOCAL_ALPHA) * probability**2 * -(1 - probability + 1e-8).log()
        class_cost = (positive - negative)[:, classes[frame, :count]]  # Q M
        flat = variants[frame, :count].flatten(0, 1).flatten(1)  # (M V) (P 2)
        distance = torch.cdist(points[row].flatten(1), flat, p=1).unflatten(1, (count, -1)) / points.shape[2]
        distance = distance.masked_fill(~real[frame, :count].unsqueeze(0), torch.inf)
        nearest, which = distance.min(-1)  # Q M
        cost = (COST_CLASS * class_cost + COST_POINT * nearest).nan_to_num(1e6, 1e6, -1e6)
        queries, elements = linear_sum_assignment(cost.cpu().numpy())
        chosen = (np.full(len(queries), row), queries, elements, which.cpu().numpy()[queries, elements])
        for values, part in zip(found, chosen, strict=True):
            values.append(part)
    empty = np.zeros(0, np.int64)
    tensors = [torch.from_numpy(np.concatenate(v) if v else empty).long().to(scores.device) for v in found]
    return tensors[0], tensors[1], tensors[2], tensors[3]
