# SPDX-License-Identifier: Apache-2.0
"""The ways beside PyTorch on the same frames: how far their answers are from its own at most, their mIoU and mAP.

Each frame is rendered once and mapped by all of them. Times, truth, polylines and scores are those of `mapkd evaluate`.

N cameras, K classes, Y X canvas cells, Q queries, P points.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import model_camera, prepare
from mapkd_core.data.seeds import VALIDATION
from mapkd_core.evaluation.evaluate import Evaluator
from mapkd_core.evaluation.report import json_ready
from mapkd_core.models.build import observed, plan
from mapkd_core.models.inference import Runner, torch_runner
from mapkd_core.models.map_model import MapModel
from mapkd_core.performance.ways import TOLERANCE
from mapkd_core.types import Frame, LocalMap, MapElement
from mapkd_core.vectorise import vectorise
from mapkd_core.vectorising.query_lines import query_elements
from mapkd_core.worlds import drive, procedural, rig
from mapkd_core.worlds.render import Renderer
from mapkd_core.worlds.truth import local_elements

FIRST_SEED = VALIDATION.start + 50_000  # of the worlds: to choose a way by, so not of the test
Answers = tuple[NDArray, NDArray, NDArray]  # probability K Y X uint8, scores Q K, points Q P 2


class Given(NamedTuple):
    """What a runner gets, images N 3 H W uint8 and the plan, and the truth; None where the frame is not scored."""

    images: NDArray
    plan: NDArray
    truth: tuple[MapElement, ...] | None = None
    labelled: tuple[str, ...] = ()


def given(frame: Frame, config: ModelConfig) -> Given:
    """A frame as the network gets it, without truth."""
    prepared = prepare(frame, config)
    return Given(prepared.images, plan(config, prepared.K, prepared.ego_T_camera, prepared.valid))


def rendered(seeds: Iterable[int], frames: int, config: ModelConfig) -> Iterator[Given]:
    """Frames with truth, `frames` of each world, as `evaluation.rendered.predict_world` takes them."""
    cameras = [model_camera(camera, config) for camera in rig.nuscenes_rig()]
    for seed in seeds:
        road_map = procedural.make_road_map(seed)
        renderer = Renderer(road_map, seed)
        for share in (np.arange(frames) + 0.5) / frames:
            time_s = float(road_map.ego[0, 0]) + float(share) * drive.duration(road_map)
            truth = local_elements(road_map, drive.pose_at(road_map, time_s), config.grid)
            seen = given(renderer.frame(time_s, cameras), config)
            yield seen._replace(truth=truth, labelled=road_map.labelled)


class Beside:
    """One way beside the reference. vectors: query or raster, the head that gives the polylines of mAP."""

    def __init__(self, config: ModelConfig, vectors: str) -> None:
        self._config, self._vectors = config, vectors
        self._evaluator = Evaluator(config.grid, config.classes)
        self._furthest = np.zeros(len(TOLERANCE))
        self._scored = 0

    def add(self, frame: Given, answers: Answers, expected: Answers) -> None:
        away = [np.abs(a.astype(np.float64) - b).max() for a, b in zip(answers, expected, strict=True)]
        self._furthest = np.maximum(self._furthest, away)  # what is not a number stays so
        if frame.truth is not None:
            self._evaluator.add(self._map(answers, frame.plan), frame.truth, frame.labelled)
            self._scored += 1

    def result(self) -> dict[str, Any]:
        """apart: largest difference by answer, in the units of `ways.TOLERANCE`; miou, map in percent or None."""
        apart = {name: float(f"{value:.3g}") for name, value in zip(TOLERANCE, self._furthest, strict=True)}
        report = self._evaluator.report()
        scores = {"miou": 100 * report.miou, "map": 100 * report.map} if self._scored else {"miou": None, "map": None}
        found: Any = json_ready({"apart": apart} | scores)
        return dict(found)

    def _map(self, answers: Answers, lookup: NDArray) -> LocalMap:
        """As `Mapper` makes it, with every polyline."""
        probability, scores, points = answers
        grid, classes = self._config.grid, self._config.classes
        lines: Sequence[MapElement] = (
            query_elements(scores, points, grid, classes, 0.0)
            if self._vectors == "query"
            else vectorise(probability, grid, classes)
        )
        return LocalMap(grid, tuple(lines), classes, probability, observed(self._config, lookup))


def judged(
    runners: Mapping[str, Runner], model: MapModel, vectors: str, frames: Iterable[Given]
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """`Beside.result` of every runner, and of eager PyTorch itself."""
    reference, own = torch_runner(model), Beside(model.config, vectors)
    others = {name: Beside(model.config, vectors) for name in runners}
    for frame in frames:
        expected = reference(frame.images, frame.plan)
        own.add(frame, expected, expected)
        for name, run in runners.items():
            others[name].add(frame, run(frame.images, frame.plan), expected)
    return {name: beside.result() for name, beside in others.items()}, own.result()


def lost(found: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, float | None]:
    """miou_lost, map_lost: points less than the reference; None where they were not scored."""
    return {
        f"{key}_lost": None if found[key] is None or reference[key] is None else round(reference[key] - found[key], 3)
        for key in ("miou", "map")
    }
