# SPDX-License-Identifier: Apache-2.0
"""Every installed way to run the student, timed in turns and, where it is not exact, scored beside the reference.

The fastest of those that are good enough is kept for this machine: it is what `auto` takes from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

from mapkd_core.bench import machine
from mapkd_core.bench.cost import operations
from mapkd_core.bench.stages import rendered_frame
from mapkd_core.bench.timing import interleaved, torch_threads
from mapkd_core.data.prepare import prepare
from mapkd_core.data.seeds import VALIDATION
from mapkd_core.evaluation.evaluate import Evaluator
from mapkd_core.evaluation.rendered import Predicting, World, predict_worlds
from mapkd_core.mapper import SHIPPED
from mapkd_core.models.build import plan
from mapkd_core.models.inference import Inference
from mapkd_core.models.onnx_graph import default_threads
from mapkd_core.performance import choice, ways
from mapkd_core.performance.budget import spread
from mapkd_core.training.checkpoint import load_weights

REFERENCE = "torch"
_FIRST_SEED = VALIDATION.start + 50_000  # to choose by, so not of the test worlds


def run(
    weights: Path | None = None,
    names: Sequence[str] = (),
    repeats: int = 20,
    threads: int | None = None,
    worlds: int = 4,
    frames: int = 5,
    keep: bool = True,
) -> dict[str, Any]:
    """Measure; JSON-ready. names: ways to try, all installed ones if empty. worlds: 0 scores none, then no way that is
    not exact is taken. keep: write the choice. Raises ValueError for an unknown way.
    """
    if unknown := set(names) - set(ways.WAYS):
        raise ValueError(f"way {', '.join(sorted(unknown))} is unknown; known: {', '.join(ways.WAYS)}")
    count = threads or default_threads()
    path = weights or SHIPPED
    model, card = load_weights(path)
    prepared = prepare(rendered_frame(), model.config)
    given = prepared.images, plan(model.config, prepared.K, prepared.ego_T_camera, prepared.valid)
    tried = [name for name in names or ways.WAYS if not ways.missing(name)]
    before = machine.load()
    with torch_threads(count):
        roof = machine.ceilings()
        times = _times(tried, model, card["sha256"], count, given, repeats)
    gflop = round(operations(Inference(model).eval(), *(torch.from_numpy(array)[None] for array in given)) / 1e9, 3)
    load = {"load_before": before, "load_after": machine.load()}
    scores = _scores(path, [REFERENCE, *(n for n in times if not ways.WAYS[n].is_exact)], worlds, frames)
    rows = {name: _row(name, ms, scores) | _speed(ms, gflop, roof["conv_gflops"]) for name, ms in times.items()}
    chosen = min((name for name, row in rows.items() if row["is_taken"]), key=lambda n: rows[n]["forward_ms"]["p50"])
    key = choice.key(card["sha256"], threads)
    if keep:
        medians = {name: row["forward_ms"]["p50"] for name, row in rows.items()}
        choice.write(key, chosen, medians, miou=scores)
    missing = {name: ways.missing(name) for name in ways.WAYS if ways.missing(name)}
    return {
        "schema": 1,
        "sha256": card["sha256"],
        "machine": machine.describe(count) | load,
        "gflop": gflop,
        "ceilings": roof,
        "ways": rows,
        "chosen": chosen,
        "key": key,
        "kept": keep,
        "not_installed": missing,
        "reference_miou": scores.get(REFERENCE),
        "scored_frames": worlds * frames,
    }


def text(result: dict[str, Any]) -> str:
    """A line for each way."""
    lines = [f"{'way':<16}{'p50 ms':>9}{'p95 ms':>9}{'mIoU lost':>11}"]
    for name, row in sorted(result["ways"].items(), key=lambda item: item[1]["forward_ms"]["p50"]):
        lost = "exact" if row["is_exact"] else "-" if row["miou_lost"] is None else f"{row['miou_lost']:.2f}"
        lines.append(f"{name:<16}{row['forward_ms']['p50']:>9.1f}{row['forward_ms']['p95']:>9.1f}{lost:>11}")
    lines.append(f"chosen: {result['chosen']}{', kept for this machine' if result['kept'] else ''}")
    return "\n".join(lines)


def _times(
    names: Sequence[str], model: Any, digest: str, threads: int, given: tuple[Any, Any], repeats: int
) -> dict[str, list[float]]:
    able = {}
    for name in names:
        try:
            run = ways.runner(name, model, digest, threads)
            run(*given)
            able[name] = lambda run=run: run(*given)
        except Exception as error:  # of a runtime or a compiler: the others count
            choice.logger.warning("%s does not run here: %s", name, " ".join(str(error).split())[:200])
    if not able:
        raise RuntimeError(f"none of {', '.join(names)} runs the network on this machine")
    return interleaved(able, repeats, warm_up=2)


def _scores(weights: Path, names: Sequence[str], worlds: int, frames: int) -> dict[str, float]:
    """mIoU in percent of the raster by each way over the same rendered frames."""
    if not worlds or len(names) < 2:
        return {}
    scores = {}
    for name in names:
        how = Predicting(weights, vectors=("query",), backend=name)
        drives = [World(_FIRST_SEED + i) for i in range(worlds)]
        evaluator = None
        for predicted in (p for drive in predict_worlds(drives, frames, how, workers=1) for p in drive):
            found = predicted.maps["query"]
            evaluator = evaluator or Evaluator(found.grid, found.classes)
            evaluator.add(found, predicted.truth, predicted.labelled)
        assert evaluator is not None
        scores[name] = round(100 * evaluator.report().miou, 3)
    return scores


def _speed(times_ms: list[float], gflop: float, conv_gflops: float) -> dict[str, float]:
    """share_of_ceiling: of what large convolutions reach here in single precision; less precise ways may pass it."""
    rate = gflop / median(times_ms) * 1e3
    return {"gflops": round(rate, 1), "share_of_ceiling": round(rate / conv_gflops, 3)}


def _row(name: str, times_ms: list[float], scores: dict[str, float]) -> dict[str, Any]:
    is_exact = ways.WAYS[name].is_exact
    lost = round(scores[REFERENCE] - scores[name], 3) if name in scores and REFERENCE in scores else None
    return {
        "forward_ms": spread(times_ms), "is_exact": is_exact, "miou": scores.get(name), "miou_lost": lost,
        "is_taken": is_exact or (lost is not None and lost <= ways.MOST_LOST),
    }  # fmt: skip
