# SPDX-License-Identifier: Apache-2.0
"""Muon for matrices and kernels, AdamW for the rest, as one optimizer.

Muon (Jordan 2024, kellerjordan.github.io/posts/muon) replaces the momentum of a matrix by the nearest orthogonal one,
so that every direction of it learns at the same pace. A kernel out x in x k x k is taken as out x (in k k). The step is
scaled by 0.2 sqrt(max(rows, columns)) (arXiv 2502.16982, section 2.2), whose size is AdamW's: both share one learning
rate. Depthwise kernels, vectors, tables of queries and the layers that give the answers are AdamW's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # a x + b x^3 + c x^5, steepest at zero; five rounds give values near one
ROUNDS = 5
BETAS, EPSILON = (0.9, 0.98), 1e-8


class Muon(torch.optim.Optimizer):
    """Groups as of any optimizer, each with `orthogonal`: True for Muon's parameters, which have at least 2 axes."""

    def __init__(self, groups: Iterable[dict[str, Any]], learning_rate: float) -> None:
        super().__init__(groups, {"lr": learning_rate, "weight_decay": 0.0, "orthogonal": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update; a closure is not supported. Parameters without a gradient are left as they are."""
        for group in self.param_groups:
            given = [p for p in group["params"] if p.grad is not None]
            for parameter in given:
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                move = self._orthogonal(parameter) if group["orthogonal"] else self._adam(parameter)
                parameter.add_(move, alpha=-group["lr"])

    def _orthogonal(self, parameter: Tensor) -> Tensor:
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        momentum = state.setdefault("momentum", torch.zeros_like(parameter))
        momentum.lerp_(gradient, 1 - MOMENTUM)
        matrix = gradient.lerp(momentum, MOMENTUM).flatten(1)  # Nesterov's look ahead
        return (orthogonalise(matrix) * (0.2 * max(matrix.shape) ** 0.5)).view(parameter.shape)

    def _adam(self, parameter: Tensor) -> Tensor:
        gradient, state = parameter.grad, self.state[parameter]
        assert gradient is not None
        if not state:
            state |= {"count": 0, "mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}
        state["count"] += 1
        state["mean"].lerp_(gradient, 1 - BETAS[0])
        state["square"].lerp_(gradient.square(), 1 - BETAS[1])
        mean = state["mean"] / (1 - BETAS[0] ** state["count"])
        return mean / (state["square"] / (1 - BETAS[1] ** state["count"])).sqrt().add_(EPSILON)


def orthogonalise(matrix: Tensor) -> Tensor:
    """rows x columns -> about U V^T of its singular value decomposition, by Newton-Schulz; values within 0.7 .. 1.2.

    The rounds are taken on the small Gram matrix, since every round is a polynomial of it: x is used but twice.
    """
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    gram = x @ x.T
    unit = torch.eye(len(gram), device=x.device)
    a, b, c = NEWTON_SCHULZ
    product = unit
    for _ in range(ROUNDS):
        polynomial = a * unit + b * gram + c * gram @ gram
        product = polynomial @ product
        gram = polynomial @ gram @ polynomial
    x = product @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Muon's matrices, AdamW's matrices and kernels, and vectors, which are not decayed."""
    muon: list[Tensor] = []
    adam: list[Tensor] = []
    vectors: list[Tensor] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_depthwise = parameter.ndim == 4 and parameter.shape[1] == 1
        if parameter.ndim < 2:
            vectors.append(parameter)
        elif is_depthwise or name.endswith(("prior", "content", "conv_stem.weight", "out.weight", "score.weight")):
            adam.append(parameter)
        else:
            muon.append(parameter)
    return [
        {"params": muon, "weight_decay": weight_decay, "orthogonal": True},
        {"params": adam, "weight_decay": weight_decay, "orthogonal": False},
        {"params": vectors, "weight_decay": 0.0, "orthogonal": False},
    ]
