# SPDX-License-Identifier: Apache-2.0
"""MapKD (arXiv 2508.15653): Token-Guided 2D Patch Distillation and Masked Semantic Response Distillation.

As the authors mean it, with defects of the released code mended; `as_released` brings them back:
  - the projections to tokens are made once, and the student's learns; released: new random ones at every step,
  - tokens have length one, so that the attention does not saturate; released: raw, where it is the identity; with
    token=False these are the very patches, without a projection, as in the student script that has TGPD switched on,
  - one softmax; released: a second one over the first, and rows of the attention are summed,
  - responses are compared as the maps are made: by a softmax over background and classes; released: by a sigmoid each,
    which tells something of networks that were trained with sigmoids, as the authors' were.
The released scripts also leave the coach in training mode, where its batch norms go on moving; this is not brought
back, no teacher changes here. The last of them has TGPD commented out: tgpd_teacher=0 tgpd_coach=0.
The teacher's projection is fixed: were it learned, both could agree on saying nothing. The student's begins as the
teacher's and learns slowly (`Projection`): a free one would fit the teacher's few tokens by itself, and leave the
student nothing to learn.

B batch, C channels, y x bottleneck cells, P patches, D token width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core.config import ModelConfig
from mapkd_core.data.batch import Batch
from mapkd_core.distillation.losses import adapter, masked_mean, row_kl, single_precision, square_distance
from mapkd_core.distillation.scheme import Scheme
from mapkd_core.models.map_model import MapModel, MapOutput

RELEASED_WIDTH = 512  # of a token


@dataclass(frozen=True)
class Config:
    """Weights of both losses towards teacher and coach as in the authors' student script; beta: of the feature term.

    token_width: D. temperature: of the attention between tokens of length one. token: the token of the whole map.
    """

    tgpd_teacher: float = 0.5
    tgpd_coach: float = 0.01
    msrd_teacher: float = 0.75
    msrd_coach: float = 0.01
    beta: float = 1.0
    token: bool = True
    token_width: int = 64
    temperature: float = 0.2
    as_released: bool = False


class Projection(nn.Module):
    """Linear without bias, of weights in -1 .. 1 that are divided where they are used.

    nn.Linear's weights of 21,600 inputs are so small that a few steps of any optimizer make others of them.
    """

    def __init__(self, inp: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out, inp))
        self.renew()

    def renew(self) -> None:
        """Other random weights, distributed as nn.Linear's."""
        nn.init.uniform_(self.weight, -1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight) / self.weight.shape[1] ** 0.5


class Tokens(nn.Module):
    """B C y x -> B 1+P D: a token of the whole map and one of each square patch, as wide as the map is high."""

    def __init__(self, channels: int, size: tuple[int, int], config: Config) -> None:
        super().__init__()
        self.side, self.config = min(size), config
        width = RELEASED_WIDTH if config.as_released else config.token_width
        self.whole = Projection(channels, width)
        self.patch = Projection(channels * self.side**2, width)
        if config.as_released:
            self.requires_grad_(False)  # they are thrown away

    def renew(self) -> None:
        """Other random projections."""
        self.whole.renew()
        self.patch.renew()

    def forward(self, features: Tensor) -> Tensor:
        patches = functional.unfold(features, self.side, stride=self.side).transpose(1, 2)  # B P (C side side)
        if self.config.as_released and not self.config.token:
            return patches
        tokens = self.patch(patches)
        if self.config.token:
            tokens = torch.cat([self.whole(features.mean((2, 3))).unsqueeze(1), tokens], 1)
        return tokens if self.config.as_released else functional.normalize(tokens, dim=-1)


def token_attention(tokens: Tensor, config: Config) -> Tensor:
    """B 1+P 1+P: softmax of all pairs of tokens."""
    pairs = tokens @ tokens.transpose(1, 2)
    if config.as_released:
        return pairs.softmax(-1).softmax(-1)
    return (pairs / config.temperature).softmax(-1)


def masked_response(student: Tensor, teacher: Tensor, labels: Tensor, as_released: bool = False) -> Tensor:
    """MSRD: KL(T || S) of the classes of a cell, mean over the cells of true lines (labels > 0). Logits B 1+K Y X.

    as_released: cross entropy of each class's sigmoid with the teacher's, mean over classes, too.
    """
    if as_released:
        soft = functional.binary_cross_entropy_with_logits(student, teacher.sigmoid(), reduction="none")
        return masked_mean(soft, labels > 0)
    own, wanted = student.log_softmax(1), teacher.log_softmax(1)
    return masked_mean((wanted.exp() * (wanted - own)).sum(1, keepdim=True), labels > 0)


class Distil(Scheme):
    """Teacher and, where given, coach; each has an adapter of its own."""

    reads = ("bottleneck", "semantic")
    positive = ("token_width", "temperature")
    uses_coach = True

    def __init__(self, config: Config, student: ModelConfig, teacher: MapModel, coach: MapModel | None = None) -> None:
        super().__init__(config, student, teacher, coach)
        rows, columns = student.decoder_grid.coarser(4).shape
        if max(rows, columns) % min(rows, columns):
            raise ValueError(f"mapkd: square patches do not cover the bottleneck of {rows} x {columns} cells")
        widths = {name: network.config.bottleneck_width for name, network in self.frozen.items()}
        self.adapters = nn.ModuleDict({
            name: nn.Identity() if config.as_released and width == student.bottleneck_width
            else adapter(student.bottleneck_width, width)
            for name, width in widths.items()
        })  # fmt: skip
        self.tokens = nn.ModuleDict({name: Tokens(width, (rows, columns), config) for name, width in widths.items()})
        self.targets = nn.ModuleDict({name: Tokens(width, (rows, columns), config) for name, width in widths.items()})
        for name, target in self.targets.items():
            target.load_state_dict(self.tokens[name].state_dict())
        self.targets.requires_grad_(False)

    def teaches_semantic(self, teacher: str) -> bool:
        return bool(getattr(self.config, f"msrd_{teacher}"))

    def forward(self, batch: Batch, student: MapOutput) -> dict[str, Tensor]:
        c, losses = self.config, {}
        for name in self.frozen:
            answer = self.answer(name, batch)
            tgpd, msrd = getattr(c, f"tgpd_{name}"), getattr(c, f"msrd_{name}")
            losses[f"tgpd_{name}"] = tgpd * self._tgpd(name, student.bottleneck, answer.bottleneck)
            response = masked_response(student.semantic.float(), answer.semantic.float(), batch.labels, c.as_released)
            losses[f"msrd_{name}"] = msrd * response
        return losses

    def _tgpd(self, name: str, student: Tensor, answer: Tensor) -> Tensor:
        adapted = self.adapters[name](student)
        tokens, targets = self.tokens[name], self.targets[name]
        if self.config.as_released:
            targets = tokens  # both sides through the same projections, for this one step
            tokens.renew()
        with single_precision(adapted):
            own = token_attention(tokens(adapted.float()), self.config)
            target = token_attention(targets(answer.float()), self.config)
            apart = row_kl(own, target) * (own.shape[1] if self.config.as_released else 1)
        return apart + self.config.beta * square_distance(adapted, answer)
