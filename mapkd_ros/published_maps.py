# SPDX-License-Identifier: Apache-2.0
"""Published maps against the truth of the bag, matched by stamp, and how fast they came. No node here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from mapkd.msg import BevSemanticMap, ProcessingTime, VectorMap

from mapkd_core.bags.from_messages import labelled
from mapkd_core.evaluation.evaluate import Evaluator
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, LocalMap
from mapkd_ros.conversions import stamp_ns
from mapkd_ros.map_messages import elements, grid_of, probability_layers

_PERCENTILES = (50, 95, 99)


@dataclass
class _Frame:
    """What came for one stamp; arrivals in seconds of the monotonic clock."""

    seen_s: float | None = None
    arrival_s: float | None = None
    vectors: VectorMap | None = None
    semantic: BevSemanticMap | None = None
    truth: VectorMap | None = None
    has_truth: bool = False
    is_done: bool = False


class PublishedMaps:
    """Collects messages; scoring waits for `report` or for more than `max_pending` frames, so as not to disturb.

    frames_in: anchor frames that the sensors sent. frames_out: vector maps that came for them. A map that contradicts
    itself or the first one is counted in maps_not_scored, with the last reason. No more than `max_pending` frames'
    messages are kept, whether maps come for them or not.
    """

    def __init__(self, max_pending: int = 600) -> None:
        self._frames: dict[int, _Frame] = {}
        self._open: set[int] = set()  # stamps of the frames whose messages are kept
        self._stages_ms: dict[str, list[float]] = {}
        self._evaluator: Evaluator | None = None
        self._max_pending = max_pending
        self._duplicates = 0
        self._without_truth = 0
        self._not_scored = 0
        self._why_not_scored = ""

    def add_anchor(self, at_ns: int, now_s: float) -> None:
        """The anchor camera sent a frame."""
        frame = self._at(at_ns)
        frame.seen_s = now_s if frame.seen_s is None else frame.seen_s

    def add_truth(self, message: VectorMap) -> None:
        frame = self._keep(stamp_ns(message.header.stamp))
        frame.has_truth = True
        frame.truth = None if frame.is_done else message

    def add_vectors(self, message: VectorMap, now_s: float) -> None:
        frame = self._keep(stamp_ns(message.header.stamp))
        self._duplicates += frame.arrival_s is not None
        frame.arrival_s = now_s
        if frame.is_done:
            self._refuse("it came long after its frame")
        frame.vectors = None if frame.is_done else message

    def add_semantic(self, message: BevSemanticMap) -> None:
        frame = self._keep(stamp_ns(message.header.stamp))
        frame.semantic = None if frame.is_done else message

    def add_times(self, message: ProcessingTime) -> None:
        for stage, duration_ms in zip(message.stages, message.duration_ms, strict=False):
            self._stages_ms.setdefault(stage, []).append(duration_ms)

    def report(self) -> dict[str, Any]:
        """For JSON: scores as mapkd_core.evaluation's report, then frames, latency and rate."""
        self._score(sorted(self._open))
        frames = self._frames.values()
        came = [frame for frame in frames if frame.arrival_s is not None]
        frames_in = sum(frame.seen_s is not None or frame.has_truth for frame in frames) or len(frames)
        arrivals = sorted(frame.arrival_s for frame in came)
        latencies = [1e3 * (frame.arrival_s - frame.seen_s) for frame in came if frame.seen_s is not None]
        span_s = arrivals[-1] - arrivals[0] if len(arrivals) > 1 else 0.0
        scores = self._evaluator.report().as_dict() if self._evaluator else {}
        return scores | {
            "frames_in": frames_in,
            "frames_out": len(came),
            "frames_out_over_in": round(len(came) / frames_in, 4) if frames_in else None,
            "frames_scored": scores.get("frames", 0),
            "frames_without_truth": self._without_truth,
            "maps_not_scored": self._not_scored,
            "not_scored_because": self._why_not_scored or None,
            "duplicate_maps": self._duplicates,
            "rate_hz": round((len(arrivals) - 1) / span_s, 3) if span_s else None,
            "latency_ms": percentiles(latencies),
            "stages_ms": {stage: percentiles(times) for stage, times in self._stages_ms.items()},
        }

    def _at(self, at_ns: int) -> _Frame:
        return self._frames.setdefault(at_ns, _Frame())

    def _keep(self, at_ns: int) -> _Frame:
        """The frame, whose message may be kept; the oldest half is scored where too many are. The newest may grow."""
        if len(self._open) >= self._max_pending:
            self._score(sorted(self._open)[: (self._max_pending + 1) // 2])
        frame = self._at(at_ns)
        if not frame.is_done:
            self._open.add(at_ns)
        return frame

    def _score(self, stamps_ns: Iterable[int]) -> None:
        for at_ns in stamps_ns:
            frame = self._frames[at_ns]
            if frame.vectors is not None and frame.truth is None:
                self._without_truth += 1
            elif frame.vectors is not None:
                try:
                    self._score_one(at_ns, frame)
                except ValueError as error:
                    self._refuse(str(error))
            frame.is_done, frame.vectors, frame.semantic, frame.truth = True, None, None, None
            self._open.discard(at_ns)

    def _refuse(self, why: str) -> None:
        self._not_scored += 1
        self._why_not_scored = why

    def _score_one(self, at_ns: int, frame: _Frame) -> None:
        semantic, vectors = frame.semantic, frame.vectors
        grid = grid_of(semantic) if semantic is not None else _grid_of_vectors(vectors)
        local_map = LocalMap(
            grid,
            elements(vectors),
            tuple(semantic.layers) if semantic is not None else CLASSES,
            probability_layers(semantic) if semantic is not None else None,
            stamp_ns=at_ns,
        )
        self._evaluator = self._evaluator or Evaluator(grid, local_map.classes)
        self._evaluator.add(local_map, elements(frame.truth), labelled(frame.truth.model_id))


def percentiles(values: list[float]) -> dict[str, float] | None:
    """p50, p95, p99 and the largest; None without values."""
    if not values:
        return None
    found = np.percentile(values, _PERCENTILES)
    return {f"p{p}": round(float(v), 2) for p, v in zip(_PERCENTILES, found, strict=True)} | {
        "max": round(max(values), 2)
    }


def _grid_of_vectors(message: VectorMap) -> BevGrid:
    low, high = message.range_min, message.range_max
    return BevGrid(low.x, high.x, low.y, high.y)
