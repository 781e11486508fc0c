# SPDX-License-Identifier: Apache-2.0
"""Scores of one run of `mapkd bench distill`, by the protocol of `mapkd evaluate` on recorded samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tqdm import tqdm

from mapkd_core.evaluation.evaluate import Evaluator
from mapkd_core.evaluation.rendered import Predicting, predict_samples

SPLITS = ("validation", "test")
VECTORS = ("query", "raster")


def scores(weights: Path, root: Path, backend: str = "torch") -> dict[str, Any]:
    """split -> frames, iou, miou and, by the head that gives polylines, ap and map; shares of 1, null without truth.

    Splits that `root` does not have are left out.
    """
    return {split: _split(weights, root / split, backend) for split in SPLITS if (root / split).is_dir()}


def _split(weights: Path, folder: Path, backend: str) -> dict[str, Any]:
    evaluators: dict[str, Evaluator] = {}
    for frames in tqdm(predict_samples(folder, Predicting(weights, VECTORS, backend=backend)), folder.name, delay=2):
        for frame in frames:
            for vectors, local_map in frame.maps.items():
                if vectors not in evaluators:
                    evaluators[vectors] = Evaluator(local_map.grid, local_map.classes)
                evaluators[vectors].add(local_map, frame.truth, frame.labelled)
    reports = {vectors: evaluator.report().as_dict() for vectors, evaluator in evaluators.items()}
    first = next(iter(reports.values()))
    found = {key: first[key] for key in ("frames", "iou", "miou")}
    return found | {v: {"ap": report["class_ap"], "map": report["map"]} for v, report in reports.items()}
