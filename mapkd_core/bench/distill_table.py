# SPDX-License-Identifier: Apache-2.0
"""All results of `mapkd bench distill` so far as one JSON-ready table: mean and deviation over seeds, and costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mapkd_core.bench import cost
from mapkd_core.bench.distill import is_done
from mapkd_core.bench.distill_config import Bench, config, keep_camera
from mapkd_core.bench.distill_kept import take_over
from mapkd_core.bench.distill_rows import LESSER, NETWORKS, Row, rows
from mapkd_core.bench.distill_scores import SPLITS, VECTORS
from mapkd_core.bench.machine import describe
from mapkd_core.bench.timing import interleaved, spread
from mapkd_core.data.batch import to_batch
from mapkd_core.data.samples import SampleFolder
from mapkd_core.models.build import build

SCHEMA = 2


def table(bench: Bench, repeats: int = 10) -> dict[str, Any]:
    """Every row that has at least one result. repeats: rounds of forward passes to time.

    Raises FileNotFoundError where no run is finished.
    """
    keep_camera(bench)
    take_over(bench)
    found = {name: results for name in (*LESSER, *NETWORKS, *rows()) if (results := _results(bench, name))}
    if not found:
        raise FileNotFoundError(f"{bench.folder} holds no finished run; leave --only-table out to train some")
    student = config(bench, "student", 0)
    seconds = bench.folder / "answers" / "seconds.json"
    return {
        "schema": SCHEMA, "size": bench.size, "steps": student.steps, "batch": student.batch,
        "variants": student.variants, "training_frames": len(SampleFolder(student.data)),
        "rows": {name: _row(name, results) for name, results in found.items()},
        "costs": _costs(bench, list(found), repeats),
        "core_hours": _core_hours([run for results in found.values() for run in results]),
        "answers_seconds": json.loads(seconds.read_text()) if seconds.is_file() else {},
        "machine": describe(torch.get_num_threads()),
    }  # fmt: skip


def _results(bench: Bench, name: str) -> list[dict[str, Any]]:
    runs = sorted(int(f.parent.name) for f in (bench.folder / name).glob("*/result.json"))
    done = [seed for seed in runs if is_done(bench, name, seed)]
    return [json.loads((bench.run_folder(name, seed) / "result.json").read_text()) for seed in done]


def _core_hours(runs: Sequence[Mapping[str, Any]]) -> float:
    """What all runs took to train, scores and teachers' answers apart; of one thread each where nobody noted more."""
    threads = [run.get("machine", {}).get("threads", 1) for run in runs]
    return round(sum((run["seconds"] or 0) * n for run, n in zip(runs, threads, strict=True)) / 3600, 2)


def _row(name: str, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    row = rows().get(name, Row(LESSER.get(name, name)))
    told = {"label": row.label, "of": row.of, "scheme": row.scheme, "settings": dict(row.settings)}
    told |= {"seeds": [r["seed"] for r in results], "steps": results[0]["steps"]}
    told["seconds"] = _spread([r["seconds"] for r in results])
    splits = [split for split in SPLITS if all(split in r["scores"] for r in results)]
    return told | {split: _scores([r["scores"][split] for r in results]) for split in splits}


def _scores(scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The same tree as of one run, with mean and deviation where that has a number."""
    found: dict[str, Any] = {"frames": scores[0]["frames"], "miou": _spread([s["miou"] for s in scores])}
    found["iou"] = {name: _spread([s["iou"][name] for s in scores]) for name in scores[0]["iou"]}
    for vectors in VECTORS:
        each = [s[vectors] for s in scores]
        found[vectors] = {
            "map": _spread([s["map"] for s in each]),
            "ap": {name: _spread([s["ap"][name] for s in each]) for name in each[0]["ap"]},
        }
    return found


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    """mean, and sample deviation of two values or more; null where a class has no truth."""
    known = np.array([v for v in values if v is not None])
    if not len(known):
        return {"mean": None, "deviation": None}
    deviation = round(float(known.std(ddof=1)), 5) if len(known) > 1 else None
    return {"mean": round(float(known.mean()), 5), "deviation": deviation}


def _costs(bench: Bench, found: Sequence[str], repeats: int) -> dict[str, Any]:
    """Parameters, operations and forward time of each network that differs; row -> costs."""
    calls: dict[str, Callable[[], object]] = {}
    costs: dict[str, dict[str, Any]] = {}
    same: dict[str, str] = {}
    for name in found:
        wanted = config(bench, name, 0)
        first = same.setdefault(repr(wanted.model), name)
        if first != name:
            continue
        # Weights cost the same whatever they are, and those of kept runs are not there.
        model = build(wanted.model).eval().to(memory_format=torch.channels_last)
        frame = _frame(Path(wanted.validation))
        inputs = to_batch(frame, replace(wanted, model=model.config)).inputs()
        flops = cost.operations(model, *inputs)
        costs[name] = {"parameters_m": round(cost.parameters(model) / 1e6, 3), "gflop": round(flops / 1e9, 3)}
        calls[name] = torch.inference_mode()(lambda model=model, inputs=inputs: model(*inputs))
    for name, times in interleaved(calls, repeats).items():
        costs[name]["forward_ms"] = spread(times)
    return {name: costs[same[repr(config(bench, name, 0).model)]] for name in found}


def _frame(folder: Path) -> Any:
    return SampleFolder(folder)[0]
