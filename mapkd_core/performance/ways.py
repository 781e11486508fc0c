# SPDX-License-Identifier: Apache-2.0
"""The ways to run the student: what each needs, whether it is exact, and how its runner is made.

Those on a CPU are several runtimes, those on a GPU one captured graph in several precisions (`staged`).
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from numpy.typing import NDArray

from mapkd_core.data.tensor_images import TensorImages
from mapkd_core.models import onnx_graph
from mapkd_core.models.deployed import can_deploy
from mapkd_core.models.inference import GPU_BACKENDS, Runner, torch_runner
from mapkd_core.models.map_model import MapModel
from mapkd_core.models.onnx_graph import exported, onnx_runner
from mapkd_core.performance import choice, compiled, int8, openvino_runtime
from mapkd_core.performance.by_picture import ByPicture, Features, Runtime
from mapkd_core.performance.int8_scales import has_scales
from mapkd_core.performance.staged import staged_runner

logger = logging.getLogger(__name__)

Card: TypeAlias = Mapping[str, Any]  # of the weights
MOST_LOST = 0.5  # points of mIoU that a way may lose to be taken
# How far an exact way may be from PyTorch anywhere: of 255; of 1; of the grid's size. Rounding, and no more.
TOLERANCE = {"probability": 1.0, "scores": 1e-4, "points": 1e-4}
_PIP = {"torch": "torch", "onnx": "onnx", "onnxruntime": "onnxruntime", "openvino": "'mapkd[openvino]'"}


@dataclass(frozen=True)
class Way:
    """make: model, card of its weights, threads -> runner. needs: packages beside PyTorch.

    is_exact: equal to PyTorch in single precision within TOLERANCE, which `mapkd bench ways` looks after. Others are
    taken by `auto` only where the weights' card vouches for them, or `mapkd bench ways` did on this machine: at most
    MOST_LOST points of mIoU lost.
    starts_fast: whether it is ready within some seconds, so that `auto` may try it when it is first used.
    precision: of its convolutions: the roof that it works under.
    lacks: what the processor has not, in words, where it would run as another way; empty where it runs as it says.
    """

    make: Callable[[MapModel, Card, int | None], Runner]
    needs: tuple[str, ...] = ()
    is_exact: bool = True
    starts_fast: Callable[[Card], bool] = lambda card: True
    precision: str = "fp32"
    lacks: Callable[[], str] = lambda: ""


def _kept(make: Callable[..., Runner], **settings: Any) -> Callable[[MapModel, Card, int | None], Runner]:
    """Of a runner that needs no more of the card than a name for what it keeps in the user's cache."""
    return lambda model, card, threads: make(model, card["sha256"], threads, **settings)


def _by_picture(
    whole: Callable[[MapModel, Card, int | None], Runner],
    graph: Callable[[MapModel, Card, NDArray, NDArray], bytes],
    runtime: Runtime,
) -> Callable[[MapModel, Card, int | None], Runner]:
    """The same runner, which can see pictures ahead where the network's graph can be cut."""

    def make(model: MapModel, card: Card, threads: int | None) -> Runner:
        run = whole(model, card, threads)
        return ByPicture(run, partial(graph, model, card), runtime, threads) if can_deploy(model) else run

    return make


def _exported(model: MapModel, card: Card, images: NDArray, plan: NDArray) -> bytes:
    return exported(model, card["sha256"], len(images), plan)


def _openvino(precision: str) -> Callable[[MapModel, Card, int | None], Runner]:
    whole = _kept(openvino_runtime.runner, precision=precision)
    return _by_picture(whole, _exported, partial(openvino_runtime.infer, precision=precision))


def _never(card: Card) -> bool:
    return False


WAYS: dict[str, Way] = {
    "torch": Way(lambda model, card, threads: torch_runner(model), starts_fast=_never),
    "onnx": Way(_by_picture(_kept(onnx_runner), _exported, onnx_graph.infer), ("onnx", "onnxruntime")),
    "openvino": Way(_openvino("f32"), ("onnx", "openvino")),
    "openvino-bf16": Way(
        _openvino("bf16"),
        ("onnx", "openvino"),
        False,
        precision="bf16",
        lacks=lambda: "" if openvino_runtime.computes_bf16() else "instructions for bf16",
    ),
    "onnx-int8": Way(
        _by_picture(int8.onnx_runner, int8.quantised, onnx_graph.infer),
        ("onnx", "onnxruntime"),
        False,
        has_scales,
        "int8",
    ),
    "openvino-int8": Way(
        _by_picture(int8.openvino_runner, int8.quantised, openvino_runtime.infer),
        ("onnx", "onnxruntime", "openvino"),
        False,
        has_scales,
        "int8",
    ),
    "compiled": Way(_kept(compiled.compiled_runner), starts_fast=_never),
    "aot": Way(_kept(compiled.aot_runner), starts_fast=_never),
}


def of(device: str) -> Mapping[str, Way]:
    """The ways on cpu, cuda or cuda:N; the first is the reference."""
    return WAYS if device == "cpu" else staged(device)


def staged(device: str) -> dict[str, Way]:
    """The captured graph in each precision; on a CPU without graph, for tests."""

    def way(precision: str) -> Way:
        is_exact = precision == "fp32"
        return Way(
            lambda model, card, threads: staged_runner(model, device, precision), (), is_exact, precision=precision
        )

    return {name: way(precision) for name, precision in GPU_BACKENDS.items()}


def missing(name: str) -> list[str]:
    """Packages that the way needs and that are not installed."""
    needs = WAYS[name].needs if name in WAYS else ()
    return [package for package in needs if importlib.util.find_spec(package) is None]


def runner(name: str, model: MapModel, card: Card, threads: int | None = None, device: str = "cpu") -> Runner:
    """Raises ValueError where a package is missing, or something that the processor lacks."""
    if missing(name):
        packages = " ".join(_PIP[p] for p in WAYS[name].needs)
        raise ValueError(
            f"backend {name!r} needs the packages {' and '.join(WAYS[name].needs)}: pip install {packages}"
        )
    if lacking := of(device)[name].lacks():
        raise ValueError(f"backend {name!r}: this processor lacks {lacking}; use backend: auto")
    return of(device)[name].make(model, card, threads)


def auto_runner(model: MapModel, card: Card, threads: int | None = None, device: str = "cpu") -> Runner:
    """The way that was the fastest on this device; where nothing was measured, those that are good are, at first.

    Good is what is exact, or what the card of the weights vouches for: `miou_lost` by way (`mapkd ship --ways`).
    Where only one of them is installed nothing is measured; without any it is PyTorch.
    """
    table = of(device)
    vouched = {name for name, lost in card.get("miou_lost", {}).items() if lost <= MOST_LOST}
    good = [name for name, way in table.items() if way.starts_fast(card) and (way.is_exact or name in vouched)]
    candidates = [name for name in good if not missing(name) and not table[name].lacks()]
    key = choice.key(card["sha256"], threads, device)
    known = choice.read(key, candidates)
    if known is not None and known in table and not missing(known) and not table[known].lacks():
        return runner(known, model, card, threads, device)
    if not candidates:
        logger.warning(
            "ONNX Runtime or its exporter is not installed: falling back to PyTorch, which is about half as fast"
        )
        return torch_runner(model)
    if len(candidates) == 1:
        return runner(candidates[0], model, card, threads, device)
    return _DecidedAtFirstFrame({name: partial(runner, name, model, card, threads, device) for name in candidates}, key)


class _DecidedAtFirstFrame:
    """A `Runner`: the fastest of some, which are tried on the first frame."""

    def __init__(self, makers: Mapping[str, Callable[[], Runner]], key: str) -> None:
        self._makers, self._key = makers, key
        self._chosen: Runner | None = None

    def __call__(self, images: NDArray | TensorImages, plan: NDArray, **ahead: Any) -> tuple[NDArray, NDArray, NDArray]:
        if self._chosen is None:
            runners = {name: make() for name, make in self._makers.items()}
            name, times = choice.fastest(runners, images, plan)
            choice.write(self._key, name, times, tried=list(self._makers))
            self._chosen = runners[name]
        return self._chosen(images, plan, **ahead)

    def encode(self, picture: NDArray) -> Features | None:
        """As the chosen one's (`by_picture`); None where that has none, or none is chosen yet."""
        encode: Callable[[NDArray], Features | None] | None = getattr(self._chosen, "encode", None)
        return None if encode is None else encode(picture)
