# SPDX-License-Identifier: Apache-2.0
"""What it costs to decode JPEGs no larger than the network needs, as the live node does: scores, cells and pixels.

Drives of the test split are rendered at the cameras' full size. Each frame is mapped three times: from the pictures as
rendered ("raw"), from their JPEGs with every pixel ("whole"), and from the same JPEGs decoded smaller ("reduced").
Differences of scores are paired by world, so that their standard error says what is chance.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from mapkd_core import processes
from mapkd_core.bags.write import encode_jpeg
from mapkd_core.data import seeds
from mapkd_core.data.prepare import prepare
from mapkd_core.data.reduced import Reduction, decode, reduction_for, whole
from mapkd_core.evaluation.evaluate import Evaluator
from mapkd_core.evaluation.iou import argmax_labels
from mapkd_core.evaluation.rendered import Predicting, mappers_of
from mapkd_core.evaluation.report import json_ready
from mapkd_core.evaluation.shards import merged
from mapkd_core.mapper import SHIPPED
from mapkd_core.training.checkpoint import read_card
from mapkd_core.types import Frame, LocalMap
from mapkd_core.worlds import drive, procedural, rig
from mapkd_core.worlds.render import Renderer
from mapkd_core.worlds.truth import local_elements

WORLDS, FRAMES = 100, 4
SIZE, QUALITY = (1600, 900), 80  # of the cameras' pictures; 80 is what image_transport sends unless told
KINDS = ("raw", "whole", "reduced")
PAIRS = (("whole", "raw"), ("reduced", "whole"))
_FAR = 3  # of 255: a pixel that is so far away counts


def run(
    weights: Path | None = None,
    worlds: int = WORLDS,
    workers: int | None = None,
    size: tuple[int, int] = SIZE,
    backend: str = "auto",
) -> dict[str, Any]:
    """Measure; JSON-ready. Raises ValueError for fewer than two worlds: nothing is said of chance then."""
    if worlds < 2:
        raise ValueError(f"worlds = {worlds}; must be at least 2")
    began, chosen = time.monotonic(), [seeds.TEST.start + i for i in range(worlds)]
    how = Predicting(weights, ("query",), 0.0, backend)
    job = partial(compared, how=how, size=size)
    if workers == 1:
        found = list(map(job, chosen))
    else:
        with processes.workers(workers, at_most=worlds) as pool:
            found = list(pool.map(job, chosen))
    reports = {kind: evaluator.report() for kind, evaluator in merged([world["states"] for world in found]).items()}
    return {
        "schema": 1, "sha256": read_card(weights or SHIPPED)["sha256"], "backend": backend,
        "worlds": worlds, "frames": worlds * FRAMES, "first_seed": chosen[0],
        "picture": list(size), "quality": QUALITY, "factor": found[0]["factor"],
        "scores": json_ready({kind: {"miou": report.miou, "map": report.map} for kind, report in reports.items()}),
        "lost": json_ready({f"{a} against {b}": _lost(found, a, b) for a, b in PAIRS}),
        "apart": {f"{a} against {b}": _apart(found, f"{a} {b}") for a, b in PAIRS},
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def compared(seed: int, how: Predicting, size: tuple[int, int]) -> dict[str, Any]:
    """One world in this process, on one thread: states of the evaluators by kind, and how far frames are apart."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    mapper = mappers_of(how)["query"]
    cameras, road_map = rig.scaled(rig.nuscenes_rig(), *size), procedural.make_road_map(seed)
    renderer, reduction = Renderer(road_map, seed), reduction_for(mapper.config)
    evaluators = {kind: Evaluator(mapper.grid, mapper.classes) for kind in KINDS}
    apart: dict[str, list[list[float]]] = {f"{a} {b}": [] for a, b in PAIRS}
    for share in (np.arange(FRAMES) + 0.5) / FRAMES:
        time_s = float(road_map.ego[0, 0]) + float(share) * drive.duration(road_map)
        raw = renderer.frame(time_s, cameras)
        frames = {"raw": raw, "whole": through_jpeg(raw, whole), "reduced": through_jpeg(raw, reduction)}
        truth = local_elements(road_map, drive.pose_at(road_map, time_s), mapper.grid)
        maps = {kind: mapper.predict(frame) for kind, frame in frames.items()}
        for kind, found in maps.items():
            evaluators[kind].add(found, truth, road_map.labelled)
        pixels = {kind: prepare(frame, mapper.config).images.astype(np.int16) for kind, frame in frames.items()}
        for a, b in PAIRS:
            apart[f"{a} {b}"].append([*_maps_apart(maps[a], maps[b]), *_pixels_apart(pixels[a], pixels[b])])
    reports = {kind: evaluator.report() for kind, evaluator in evaluators.items()}
    return {
        "states": {kind: evaluator.state() for kind, evaluator in evaluators.items()}, "apart": apart,
        "scores": {kind: (report.miou, report.map) for kind, report in reports.items()},
        "factor": reduction(*size),
    }  # fmt: skip


def through_jpeg(frame: Frame, reduction: Reduction) -> Frame:
    """Every picture as image_transport sends it and `reduction` decodes it."""
    jpegs = [encode_jpeg(camera.image, QUALITY) for camera in frame.cameras if camera.image is not None]
    cameras = (
        decode("jpeg", data, reduction).of(replace(camera, image=None)) for data, camera in zip(jpegs, frame.cameras)
    )
    return replace(frame, cameras=tuple(cameras))


def _lost(found: Sequence[dict[str, Any]], kind: str, than: str) -> dict[str, dict[str, float]]:
    """Points by which `kind` scores lower than `than`: mean over worlds and its standard error."""
    apart = np.array([np.subtract(world["scores"][than], world["scores"][kind]) for world in found]) * 100
    told = {}
    for key, values in zip(("miou", "map"), apart.T):
        values = values[np.isfinite(values)]
        mean = values.mean() if len(values) else np.nan
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        told[key] = {"mean": round(float(mean), 4), "error": round(float(error), 4)}
    return told


def _apart(found: Sequence[dict[str, Any]], pair: str) -> dict[str, float]:
    means = np.concatenate([world["apart"][pair] for world in found]).mean(0)
    names = ("same_label", "probability", "pixel", "pixels_far")
    return {name: round(float(value), 6) for name, value in zip(names, means, strict=True)}


def _maps_apart(a: LocalMap, b: LocalMap) -> tuple[float, float]:
    """Share of cells with the same label; mean distance of the probabilities, of 255."""
    assert a.probability is not None and b.probability is not None
    same = argmax_labels(a.probability) == argmax_labels(b.probability)
    return float(same.mean()), float(np.abs(a.probability.astype(int) - b.probability).mean())


def _pixels_apart(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    away = np.abs(a - b)
    return float(away.mean()), float((away >= _FAR).mean())
