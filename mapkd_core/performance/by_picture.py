# SPDX-License-Identifier: Apache-2.0
"""The network picture by picture: each is seen as soon as it is there, and once all are, only the rest is left to do.

A vehicle's cameras do not fire at once. Whoever has the first pictures while the last one is still to come lets the
network see them meanwhile, each on one thread; a frame then waits for the last picture and for the rest of the network
(`cut_graph`). Without that a frame runs in one go, which is faster than one picture after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mapkd_core.models.inference import Runner
from mapkd_core.models.onnx_graph import default_threads
from mapkd_core.performance.cut_graph import ROWS, Cut, cut

Features: TypeAlias = dict[str, NDArray[np.float32]]  # name -> 1 C h w, of one picture
Infer: TypeAlias = Callable[[Mapping[str, NDArray]], Mapping[str, NDArray]]  # whose answers are the caller's
_ANSWERS = ("probability", "scores", "points")


class Runtime(Protocol):
    def __call__(self, graph: bytes, given: Mapping[str, NDArray], threads: int, at_once: int = 1) -> list[Infer]:
        """So many calls that may run at the same time and share the threads; given: inputs whose shapes are taken."""


class ByPicture:
    """A `Runner` that takes as `ahead` what `encode` made of some of the frame's pictures; equal to `whole`.

    whole: runs frames of which nothing was seen ahead. graph: images, plan -> the bytes of its ONNX file. The parts are
    compiled when the first picture is seen ahead, and again when a frame has another number of cameras.
    """

    def __init__(
        self,
        whole: Runner,
        graph: Callable[[NDArray, NDArray], bytes],
        runtime: Runtime,
        threads: int | None = None,
    ) -> None:
        self._whole, self._graph_of, self._runtime = whole, graph, runtime
        self._threads = threads or default_threads()
        self._pool = ThreadPoolExecutor(self._threads, "encode")
        self._lock = threading.Lock()
        self._first: tuple[NDArray, NDArray] | None = None  # of shapes as in the first frame
        self._parts: Cut | None = None
        self._encoders: SimpleQueue[Infer] = SimpleQueue()
        self._rests: dict[int, Rest] = {}
        self._black: Features | None = None

    def __call__(
        self, images: NDArray, plan: NDArray, ahead: Sequence[Features | None] = ()
    ) -> tuple[NDArray, NDArray, NDArray]:
        """ahead: of each picture; where that is known the picture itself is not looked at."""
        if self._first is None:
            self._first = np.zeros_like(images), np.zeros_like(plan)
        if all(features is None for features in ahead):
            return self._whole(images, plan)
        missing = [index for index, features in enumerate(ahead) if features is None]
        found = dict(zip(missing, self._pool.map(self._seen, images[missing]), strict=True))
        features = [found[index] if known is None else known for index, known in enumerate(ahead)]
        if len(images) not in self._rests:
            graph, given = self._cut().rest, Rest.inputs(features, plan)
            self._rests[len(images)] = Rest(given, self._runtime(graph, given, self._threads)[0])
        return self._rests[len(images)](features, plan)

    def encode(self, picture: NDArray[np.uint8]) -> Features | None:
        """3 H W: what the network makes of it without the others. May be called from several threads.

        None before the first frame, whose shapes the parts are made for.
        """
        if self._first is None:
            return None
        names = self._cut().features
        encoder = self._encoders.get()
        try:
            answers = encoder({"images": picture[None, None]})
            return {name: answers[name] for name in names}
        finally:
            self._encoders.put(encoder)

    def _seen(self, picture: NDArray[np.uint8]) -> Features:
        """Of a picture that was not seen ahead. A camera that gave nothing is black, in every frame anew."""
        if picture.any():
            return self.encode(picture) or {}
        if self._black is None:
            self._black = self.encode(picture)
        return self._black or {}

    def _cut(self) -> Cut:
        assert self._first is not None
        with self._lock:
            if self._parts is None:
                images, plan = self._first
                self._parts = cut(self._graph_of(images, plan))
                one = {"images": images[:1][None]}
                for encoder in self._runtime(self._parts.pictures, one, self._threads, self._threads):
                    self._encoders.put(encoder)
            return self._parts


class Rest:
    """What is left when all pictures were seen, for one number of cameras; keeps the memory they are joined in."""

    def __init__(self, given: dict[str, NDArray], infer: Infer) -> None:
        self._given, self._infer = given, infer

    @staticmethod
    def inputs(features: Sequence[Features], plan: NDArray) -> dict[str, NDArray]:
        joined = {name: np.concatenate([seen[name] for seen in features], ROWS) for name in features[0]}
        return {**joined, "plan": plan[None]}

    def __call__(self, features: Sequence[Features], plan: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        for name in features[0]:
            np.concatenate([seen[name] for seen in features], ROWS, out=self._given[name])
        answers = self._infer({**self._given, "plan": plan[None]})
        probability, scores, points = (answers[name][0] for name in _ANSWERS)
        return probability, scores, points
