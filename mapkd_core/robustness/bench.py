# SPDX-License-Identifier: Apache-2.0
"""mIoU of the map under every condition of `conditions`, in one run that may be broken off and gone on with."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.bench import machine
from mapkd_core.data.rasterise import rasterise
from mapkd_core.data.seeds import VALIDATION
from mapkd_core.evaluation.iou import IouAccumulator, argmax_labels, mean
from mapkd_core.mapper import Mapper
from mapkd_core.robustness import frames, resilience
from mapkd_core.robustness.conditions import Condition, conditions
from mapkd_core.robustness.frames import KnownFrame
from mapkd_core.writing import write_json

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CameraBench:
    """data: a folder of samples; None renders frames of validation worlds. weights: None takes the shipped ones.

    frames: how many; each takes 2 MB of memory at network size. only: names of conditions; all if empty.
    """

    data: Path | None = None
    weights: Path | None = None
    frames: int = 100
    worlds: int = 10
    seed: int = 0
    threads: int | None = None
    only: tuple[str, ...] = ()
    backend: str = "auto"


def run(bench: CameraBench, out: Path | None = None) -> dict[str, Any]:
    """The result as JSON. out: gets it after every condition; what it holds of the same run is not done again.

    Raises ValueError for counts below one, names that are no condition, and an `out` of another run.
    """
    chosen = _chosen(bench)
    mapper = Mapper(bench.weights, bench.backend, vectors="query", threads=bench.threads)
    told = _told(bench, mapper)
    rows = _kept(out, told)
    known = _frames(bench, mapper) if any(c.key not in rows for c in chosen) else []
    for condition in chosen:
        if condition.key in rows:
            continue
        rows[condition.key] = score(condition, known, mapper, bench.seed)
        if out:
            write_json(out, summary(told, rows))
    return summary(told, rows)


def score(condition: Condition, known: Sequence[KnownFrame], mapper: Mapper, seed: int = 0) -> dict[str, Any]:
    """IoU by class and mIoU over the whole range, 0..1 (None without truth), and the share of cells observed."""
    iou, observed = IouAccumulator(mapper.grid, mapper.classes), []
    for one in known:
        local_map = mapper.predict(condition.apply(one.frame, one.earlier, one.token, seed))
        assert local_map.probability is not None and local_map.observed is not None
        truth = rasterise(one.truth, mapper.grid, mapper.classes)
        iou.add(argmax_labels(local_map.probability), truth, one.labelled)
        observed.append(local_map.observed.mean())
    by_class = {name: None if math.isnan(value) else round(value, 4) for name, value in iou.iou().items()}
    return {
        "kind": condition.kind, "name": condition.name, "severity": condition.severity,
        "miou": round(mean(v for v in by_class.values() if v is not None), 4), "iou": by_class,
        "observed": round(float(np.mean(observed)), 4),
    }  # fmt: skip


def summary(told: dict[str, Any], rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The rows with what follows from them: resilience, and what one lost camera costs of the clean mIoU (share)."""
    result = {**told, "machine": machine.describe(told["threads"] or 0), "rows": list(rows.values())}
    clean = rows.get("clean/0", {}).get("miou")
    if not clean:
        return result
    scores: dict[str, list[float]] = {}
    for row in rows.values():
        if row["kind"] == "corruption":
            scores.setdefault(row["name"], []).append(row["miou"])
    result["resilience"] = {name: round(resilience.resilience(v, clean), 4) for name, v in scores.items()}
    if scores:
        result["mean_resilience"] = round(resilience.mean_resilience(result["resilience"]), 4)
    lost = {r["name"]: 1 - r["miou"] / clean for r in rows.values() if r["kind"] == "missing" and r["severity"] == 1}
    if lost:
        worst = max(lost, key=lambda name: lost[name])
        shares = {"mean": round(float(np.mean(list(lost.values()))), 4), "most": round(lost[worst], 4)}
        result["one_camera_lost"] = {**shares, "worst": worst}
    return result


def _chosen(bench: CameraBench) -> list[Condition]:
    for name in ("frames", "worlds"):
        if getattr(bench, name) < 1:
            raise ValueError(f"{name} = {getattr(bench, name)}; must be at least 1")
    every = conditions()
    if unknown := set(bench.only) - {c.name for c in every}:
        raise ValueError(f"conditions {sorted(unknown)} are unknown; known: {', '.join({c.name: 0 for c in every})}")
    return [c for c in every if not bench.only or c.name in (*bench.only, "clean")]


def _told(bench: CameraBench, mapper: Mapper) -> dict[str, Any]:
    """What makes two runs the same."""
    source = f"{bench.worlds} rendered worlds" if bench.data is None else str(bench.data)
    return {
        "source": source, "frames": bench.frames, "seed": bench.seed, "sha256": mapper.card["sha256"],
        "model_id": mapper.model_id, "threads": bench.threads,
    }  # fmt: skip


def _kept(out: Path | None, told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    if out is None or not out.is_file():
        return {}
    try:
        before = json.loads(out.read_text())
        other = [key for key, value in told.items() if before.get(key) != value]
        rows = {f"{row['name']}/{row['severity']}": row for row in before["rows"]}
    except (json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{out} is no result of this measurement ({error}); choose another file") from error
    if other:
        raise ValueError(f"{out} is of another run (its {', '.join(other)} differ); remove it or choose another file")
    return rows


def _frames(bench: CameraBench, mapper: Mapper) -> list[KnownFrame]:
    began = time.monotonic()
    if bench.data is None:
        found = list(frames.rendered(VALIDATION.start, bench.worlds, bench.frames, mapper.config))
    else:
        found = list(frames.recorded(bench.data, bench.frames, mapper.config))
    log.info("%d frames in %.0f s", len(found), time.monotonic() - began)
    return found
