# SPDX-License-Identifier: Apache-2.0
"""The table of `mapkd bench distill` as Markdown, for terminals and documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mapkd_core.evaluation.report import table

_SPLIT = {"validation": "validation", "test": "real roads"}


def markdown(result: Mapping[str, Any]) -> list[str]:
    """Three tables: scores of every row, IoU and AP by class, and what networks cost."""
    rows = result["rows"]
    splits = [s for s in _SPLIT if any(s in row for row in rows.values())]
    what = (
        f"Percent, mean ± deviation over seeds; mAP by MapTR's protocol, of the query head's polylines, raster mAP of "
        f"those traced in the raster. roads-v1 "
        f"{result['size']}, {result['training_frames']} frames, students of {result['steps']} steps of "
        f"{result['batch']} frames in the same order."
    )
    runs = sum(len(row["seeds"]) for row in rows.values())
    answers = sum(result["answers_seconds"].values()) / 60
    spent = (
        f"{runs} runs of {result['core_hours']:.1f} core hours in all; what teachers answer was computed once, in "
        f"{answers:.0f} minutes that are in no row."
    )
    gains = _gains(result, splits)
    return [*_main(rows, splits), "", what, spent, "", *gains, "", *_classes(rows, splits[-1]), "", *_cost(result)]


def _main(rows: Mapping[str, Any], splits: Sequence[str]) -> list[str]:
    scores = [f"{_SPLIT[s]} {score}" for s in splits for score in ("mIoU", "mAP", "raster mAP")]
    head = ["", *scores, "seeds", "steps", "training"]
    lines = []
    for name, row in rows.items():
        numbers = [cell for s in splits for cell in _scores(row, s)]
        told = [str(len(row["seeds"])), str(row["steps"]), f"{(row['seconds']['mean'] or 0) / 60:.0f} min"]
        lines.append([_label(name, row), *numbers, *told])
    return table(head, lines)


def _gains(result: Mapping[str, Any], splits: Sequence[str]) -> list[str]:
    """Of every taught student over the same network alone, with the standard error of the difference of both means."""
    rows, lines = result["rows"], []
    alone = {repr(result["costs"][name]): name for name in ("student", "student_dual") if name in rows}
    for name, row in rows.items():
        base = "cold_student" if name.startswith("cold_") else alone.get(repr(result["costs"][name]), "")
        if base not in rows or name == base or not (row["scheme"] or row["of"]):
            continue
        told = [(row[s], rows[base][s]) for s in splits if s in row and s in rows[base]]
        cells = [
            _gain(own, other, len(row["seeds"]), len(rows[base]["seeds"]))
            for both in told
            for own, other in zip(*map(_three, both), strict=True)
        ]
        lines.append([_label(name, row), *cells, *["-"] * (3 * len(splits) - len(cells))])
    scores = [f"{_SPLIT[s]} {score}" for s in splits for score in ("mIoU", "mAP", "raster mAP")]
    return table(["points more than the same network alone", *scores], lines) if lines else []


def _three(scores: Mapping[str, Any]) -> list[Mapping[str, float | None]]:
    return [scores["miou"], scores["query"]["map"], scores["raster"]["map"]]


def _gain(own: Mapping[str, Any], base: Mapping[str, Any], runs: int, base_runs: int) -> str:
    if own["mean"] is None or base["mean"] is None:
        return "-"
    told = f"{100 * (own['mean'] - base['mean']):+.1f}"
    if own["deviation"] is None or base["deviation"] is None:
        return told
    error = (own["deviation"] ** 2 / runs + base["deviation"] ** 2 / base_runs) ** 0.5
    return f"{told} ± {100 * error:.1f}"


def _classes(rows: Mapping[str, Any], split: str) -> list[str]:
    classes = list(next(iter(rows.values()))[split]["iou"])
    head = [f"by class, {_SPLIT[split]}", *[f"IoU {c}" for c in classes], *[f"AP {c}" for c in classes]]
    lines = []
    for name, row in rows.items():
        if split in row:
            found = [row[split]["iou"][c] for c in classes] + [row[split]["query"]["ap"][c] for c in classes]
            lines.append([_label(name, row), *map(_number, found)])
    return table(head, lines)


def _cost(result: Mapping[str, Any]) -> list[str]:
    costs = {name: c for name, c in result["costs"].items() if not result["rows"][name]["of"]}
    shown: dict[tuple, list[str]] = {}
    for name, c in costs.items():
        key = (c["parameters_m"], c["gflop"], c["forward_ms"]["median"])
        shown.setdefault(key, []).append(result["rows"][name]["label"])
    lines = [[", ".join(names), f"{p:.2f} M", f"{g:.2f}", f"{ms:.0f} ms"] for (p, g, ms), names in shown.items()]
    where = f"Forward passes by PyTorch on {result['machine']['processor']}, {result['machine']['threads']} threads."
    return [*table(["network", "parameters", "GFLOP", "forward"], lines), "", where]


def _label(name: str, row: Mapping[str, Any]) -> str:
    return f"— {row['of']} {row['label']}" if row["of"] else str(row["label"])


def _scores(row: Mapping[str, Any], split: str) -> list[str]:
    """mIoU, mAP of the query head, mAP of the raster."""
    if split not in row:
        return ["-"] * 3
    return [_number(value) for value in _three(row[split])]


def _number(value: Mapping[str, float | None]) -> str:
    if value["mean"] is None:
        return "-"
    deviation = "" if value["deviation"] is None else f" ± {100 * value['deviation']:.1f}"
    return f"{100 * value['mean']:.1f}{deviation}"
