# SPDX-License-Identifier: Apache-2.0
"""Muon for matrices and kernels, AdamW for the rest, as one optimizer.

Muon (Jordan 2024, kellerjordan.github.io/posts/muon) replaces the momentum of a matrix by the nearest orthogonal one,
so that every direction of it learns at the same pace. A kernel out x in x k x k is taken as out x (in k k). The step is
scaled by 0.2 sqrt(max(rows, columns)) (arXiv 2502.16982, section 2.2), whose size is AdamW's: both share one learning
rate. Depthwise kernels, vectors, tables of queries and the layers that give the answers are AdamW's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
            if not given:
                continue
            torch._foreach_mul_(given, 1 - group["lr"] * group["weight_decay"])
            moves = self._orthogonal(given) if group["orthogonal"] else [self._adam(p) for p in given]
            torch._foreach_add_(given, moves, alpha=-group["lr"])

    def _orthogonal(self, given: list[Tensor]) -> list[Tensor]:
        gradients = [p.grad for p in given if p.grad is not None]
        momenta = [self.state[p].setdefault("momentum", torch.zeros_like(p)) for p in given]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        ahead = torch._foreach_lerp(gradients, momenta, MOMENTUM)  # Nesterov's look ahead
        found = orthogonalise([one.flatten(1) for one in ahead])
        return [(m * (0.2 * max(m.shape) ** 0.5)).view(p.shape) for m, p in zip(found, given, strict=True)]

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


def orthogonalise(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Each rows x columns -> about U V^T of its singular value decomposition, by Newton-Schulz; values in 0.7 .. 1.2.

    The rounds are taken on the small Gram matrix x x^T, since every round is a polynomial of it: x is used but twice,
    and matrices whose smaller side is equal go through the rounds as one batch.
    """
    wide = [m.T if m.shape[0] > m.shape[1] else m for m in matrices]
    wide = [x / (m.norm() + 1e-7) for x, m in zip(wide, matrices, strict=True)]  # m is contiguous: twice as fast
    by_size: dict[int, list[int]] = {}
    for place, x in enumerate(wide):
        by_size.setdefault(len(x), []).append(place)
    for places in by_size.values():
        products = _newton_schulz(torch.stack([wide[place] @ wide[place].T for place in places]))
        for place, product in zip(places, products, strict=True):
            wide[place] = product @ wide[place]
    return [x.T if m.shape[0] > m.shape[1] else x for x, m in zip(wide, matrices, strict=True)]


def _newton_schulz(gram: Tensor) -> Tensor:
    """B N N Gram matrices -> B N N, each about its inverse square root."""
    unit = torch.eye(gram.shape[-1], device=gram.device)
    a, b, c = NEWTON_SCHULZ
    product = None
    for left in reversed(range(ROUNDS)):
        polynomial = torch.baddbmm(a * unit + b * gram, gram, gram, alpha=c)
        product = polynomial if product is None else polynomial @ product
        gram = polynomial @ gram @ polynomial if left else gram
    assert product is not None
    return product


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
