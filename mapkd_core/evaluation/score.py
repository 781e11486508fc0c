# SPDX-License-Identifier: Apache-2.0
"""Predicted maps of a file against the true ones of another, by any protocol, and the IoU of both when drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mapkd_core.data.clipping import clip_outside
from mapkd_core.data.rasterise import layers
from mapkd_core.evaluation.iou import IouAccumulator
from mapkd_core.evaluation.map_files.maps import LIDAR_X_M, MapFile
from mapkd_core.evaluation.protocols import PROTOCOLS, ScoredFrame, Scorer, Settings
from mapkd_core.evaluation.score_report import ScoreReport
from mapkd_core.grid import BevGrid

BAND_M = 10.0  # width of the distance bands


@dataclass(frozen=True)
class Scoring:
    """How to score. strict: the protocol's harder thresholds. lidar_x_m: mounting of the LiDAR ahead of the ego origin.

    draw_above: predictions of a lower score are not drawn for the IoU; None leaves the IoU out.
    """

    protocol: str = "maptr"
    settings: Settings = field(default_factory=Settings)
    strict: bool = False
    draw_above: float | None = 0.3
    lidar_x_m: float = LIDAR_X_M

    def scorer(self) -> tuple[Scorer, Settings]:
        """Raises ValueError for an unknown protocol, or `strict` where there is nothing stricter."""
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"unknown protocol {self.protocol!r}; known: {', '.join(PROTOCOLS)}")
        chosen, settings = PROTOCOLS[self.protocol], self.settings
        if self.strict:
            if chosen.strict is None or settings.thresholds:
                raise ValueError(
                    f"strict thresholds are for maptr and streammapnet without other thresholds, not {self.protocol}"
                )
            settings = replace(settings, thresholds=chosen.strict)
        return chosen.make(settings), settings


def score(truth: MapFile, predicted: MapFile, how: Scoring | None = None) -> ScoreReport:
    """Frames of the truth by token; one without prediction counts as predicted empty, one without truth is left out.

    Raises ValueError where the two files have no frame in common.
    """
    how = how or Scoring()
    scorer, settings = how.scorer()
    notes = _notes(truth, predicted, how)
    if truth.origin != predicted.origin:
        truth, predicted = truth.around_ego(how.lidar_x_m), predicted.around_ego(how.lidar_x_m)
    grid = settings.grid
    iou = None if how.draw_above is None else IouAccumulator(grid, settings.classes, _bands(grid))
    counts = {kind: dict.fromkeys(settings.classes, 0) for kind in ("truths", "detections")}
    for frame in _frames(truth, predicted, grid):
        scorer.add(frame)
        for kind, elements in (("truths", frame.truth), ("detections", frame.predicted)):
            for element in elements:
                counts[kind][element.class_name] += 1
        if iou is not None:
            drawn = [e for e in frame.predicted if e.confidence >= (how.draw_above or 0.0)]
            iou.add_layers(layers(drawn, grid, settings.classes), layers(frame.truth, grid, settings.classes))
    scores = scorer.scores()
    return ScoreReport(
        protocol=how.protocol,
        as_released=settings.as_released,
        range_m=grid.bounds,
        scores=replace(scores, notes=(*notes, *scores.notes)),
        frames=len(truth.frames),
        missing=tuple(token for token in truth.frames if token not in predicted.frames),
        extra=tuple(token for token in predicted.frames if token not in truth.frames),
        iou={} if iou is None else iou.iou(),
        iou_by_distance={} if iou is None else iou.iou_by_distance(),
        **counts,
    )


def _frames(truth: MapFile, predicted: MapFile, grid: BevGrid) -> Iterator[ScoredFrame]:
    """Scene by scene where scenes are known, then the frames of no scene."""
    scenes = truth.scenes or predicted.scenes
    scene_of = {token: name for name, tokens in scenes.items() for token in tokens if token in truth.frames}
    for token in [*scene_of, *(token for token in truth.frames if token not in scene_of)]:
        elements = predicted.frames.get(token, ())
        yield ScoredFrame(
            token, clip_outside(elements, grid), clip_outside(truth.frames[token], grid), scene_of.get(token)
        )


def _notes(truth: MapFile, predicted: MapFile, how: Scoring) -> tuple[str, ...]:
    """What a reader must know about the two files. Raises ValueError where they have nothing in common."""
    common = truth.frames.keys() & predicted.frames.keys()
    if not truth.frames:
        raise ValueError(f"{truth.path} holds no frame: nothing to score")
    if predicted.frames and not common:
        examples = f"{next(iter(truth.frames))!r} there, {next(iter(predicted.frames))!r} here"
        raise ValueError(f"{truth.path} and {predicted.path} have no frame in common: {examples}; tokens must agree")
    notes = []
    if missing := len(truth.frames) - len(common):
        notes.append(f"{missing} of {len(truth.frames)} frames have no prediction and count as predicted empty.")
    if extra := len(predicted.frames) - len(common):
        notes.append(f"{extra} predicted frames have no truth and are left out.")
    for file in (truth, predicted):
        notes += [f"{file.path.name}: {count} elements {why} left out." for why, count in file.skipped.items()]
    if truth.origin != predicted.origin:
        notes.append(f"MapTR's points are moved {how.lidar_x_m:g} m forward, from the LiDAR to the ego origin.")
    elif truth.origin == "lidar":
        notes.append("The range lies around the LiDAR, as in MapTR.")
    if how.settings.as_released:
        quirks = PROTOCOLS[how.protocol].quirks
        notes.append(f"As released: {quirks}." if quirks else "No quirk of the released code is known.")
    if how.draw_above is not None:
        notes.append(f"IoU is that of the drawn polylines of a score of at least {how.draw_above:g}.")
    return tuple(notes)


def _bands(grid: BevGrid) -> Sequence[float]:
    """0, 10, 20 ... to the far end of the range, metres."""
    reach = max(abs(bound) for bound in grid.bounds)
    return tuple(np.arange(0.0, reach + 1e-6, BAND_M).tolist())
