# SPDX-License-Identifier: Apache-2.0
"""Every installed way to run the student: timed in turns, compared with PyTorch, and scored beside it.

The fastest of those that are good enough is kept for this machine: it is what `auto` takes from then on. A way that is
said to be exact has to be so here, with these weights; another one may lose little mIoU.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any

import torch

from mapkd_core.bench import machine
from mapkd_core.bench.cost import operations
from mapkd_core.bench.stages import rendered_frame
from mapkd_core.bench.timing import interleaved, torch_threads
from mapkd_core.mapper import SHIPPED
from mapkd_core.models.inference import Inference, Runner
from mapkd_core.models.onnx_graph import default_threads
from mapkd_core.performance import ceilings, choice, ways, ways_scores
from mapkd_core.performance.budget import spread
from mapkd_core.performance.ceilings import ROOFS
from mapkd_core.training.checkpoint import load_weights
from mapkd_core.types import Frame

SCHEMA = 3


def run(
    weights: Path | None = None,
    names: Sequence[str] = (),
    repeats: int = 20,
    threads: int | None = None,
    worlds: int = 4,
    frames: int = 5,
    keep: bool = True,
    recorded: Frame | None = None,
) -> dict[str, Any]:
    """Measure; JSON-ready. names: ways to try, all installed ones if empty. worlds: 0 scores none, then no way that is
    not exact is taken. keep: write the choice. recorded: a frame of a vehicle, compared beside the rendered ones.

    Raises ValueError for an unknown way, RuntimeError where none runs.
    """
    if unknown := set(names) - set(ways.WAYS):
        raise ValueError(f"way {', '.join(sorted(unknown))} is unknown; known: {', '.join(ways.WAYS)}")
    count = threads or default_threads()
    model, card = load_weights(weights or SHIPPED)
    looked_at = [ways_scores.given(frame, model.config) for frame in (rendered_frame(), recorded) if frame is not None]
    seeds = range(ways_scores.FIRST_SEED, ways_scores.FIRST_SEED + worlds)
    every = chain(looked_at, ways_scores.rendered(seeds, frames, model.config))
    installed = [name for name in names or ways.WAYS if not ways.missing(name)]
    lacking = {name: told for name in installed if (told := ways.WAYS[name].lacks())}
    tried = [name for name in installed if name not in lacking]
    if not tried:
        raise RuntimeError(f"none of {', '.join(names or ways.WAYS)} can run here: {lacking or 'not installed'}")
    before = machine.load()
    with torch_threads(count):
        runners = _running(tried, model, card, count, looked_at[0])
        times, roofs = _times(runners, looked_at[0], repeats)
        after = machine.load()
        found, reference = ways_scores.judged(runners, model, card.get("vectors", "raster"), every)
    gflop = _gflop(model, looked_at[0])
    rows = {name: _row(name, ms, found[name], reference) | _speed(name, ms, gflop, roofs) for name, ms in times.items()}
    key = choice.key(card["sha256"], threads)
    chosen = _chosen(rows, key if keep else None)
    return {
        "schema": SCHEMA, "sha256": card["sha256"],
        "machine": machine.describe(count) | {"load_before": before, "load_after": after},
        "gflop": gflop, "ceilings": roofs, "ways": rows, "chosen": chosen, "key": key,
        "kept": keep and chosen is not None,
        "processor_lacks": lacking,
        "not_installed": {name: ways.missing(name) for name in ways.WAYS if ways.missing(name)},
        "reference_miou": reference["miou"], "reference_map": reference["map"],
        "scored_frames": worlds * frames, "tolerance": ways.TOLERANCE,
        "compared_frames": {"rendered": 1 + worlds * frames, "recorded": len(looked_at) - 1},
    }  # fmt: skip


def _running(
    names: Sequence[str], model: Any, card: ways.Card, threads: int, given: ways_scores.Given
) -> dict[str, Runner]:
    """The runners that answer on this machine."""
    able = {}
    for name in names:
        try:
            runner = ways.runner(name, model, card, threads)
            runner(given.images, given.plan)
            able[name] = runner
        except Exception as error:  # of a runtime or a compiler: the others count
            choice.logger.warning("%s does not run here: %s", name, " ".join(str(error).split())[:200])
    if not able:
        raise RuntimeError(f"none of {', '.join(names)} runs the network on this machine")
    return able


def _times(
    runners: dict[str, Runner], given: ways_scores.Given, repeats: int
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Milliseconds of the ways; and their roofs, measured in the same turns.

    Medians of both are compared: a roof of a quiet moment before would blame the ways for what neighbours took later.
    """
    roofs = ceilings.large()
    calls = {name: (lambda run=run: run(given.images, given.plan)) for name, run in runners.items()}  # type: ignore[misc]
    times = interleaved(calls | {name: call.run for name, call in roofs.items()}, repeats, warm_up=2)
    return {name: times[name] for name in runners}, ceilings.rates(roofs, times, median)


def _gflop(model: Any, given: ways_scores.Given) -> float:
    """Of a frame, in the network that runs."""
    inputs = (torch.from_numpy(array)[None] for array in (given.images, given.plan))
    return round(operations(Inference(model).eval(), *inputs) / 1e9, 3)


def _chosen(rows: dict[str, dict[str, Any]], key: str | None) -> str | None:
    """The fastest way that is good enough, None where none is; kept for this machine where there is a key."""
    medians = {name: row["forward_ms"]["p50"] for name, row in rows.items()}
    good = [name for name, row in rows.items() if row["is_taken"]]
    if not good:
        return None
    chosen = min(good, key=medians.__getitem__)
    if key is not None:
        installed = [name for name in ways.WAYS if not ways.missing(name)]  # what was not asked for is refused
        choice.write(key, chosen, medians, installed, miou={name: row["miou"] for name, row in rows.items()})
    return chosen


def _speed(name: str, times_ms: list[float], gflop: float, roofs: dict[str, Any]) -> dict[str, float | None]:
    """share_of_ceiling: of what large convolutions reach here in the way's own precision; None where not measured."""
    rate, roof = gflop / median(times_ms) * 1e3, roofs.get(ROOFS[ways.WAYS[name].precision])
    return {"gflops": round(rate, 1), "share_of_ceiling": round(rate / roof, 3) if roof else None}


def _row(name: str, times_ms: list[float], found: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    """is_taken: an exact way by what it answers, another one by what it loses."""
    way, apart, lost = ways.WAYS[name], found["apart"], ways_scores.lost(found, reference)
    is_within = all(apart[key] is not None and apart[key] <= most for key, most in ways.TOLERANCE.items())
    loses_little = lost["miou_lost"] is not None and lost["miou_lost"] <= ways.MOST_LOST
    return {
        "forward_ms": spread(times_ms), "precision": way.precision, "is_exact": way.is_exact, **found, **lost,
        "is_taken": is_within if way.is_exact else loses_little,
    }  # fmt: skip
