# SPDX-License-Identifier: Apache-2.0
"""The result of `bench.run` as tables and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mapkd_core.evaluation.report import percent, table

LIMIT = 0.15  # of mIoU, what one lost camera may cost


def markdown(result: Mapping[str, Any]) -> list[str]:
    """Missing cameras, then corruptions, then what follows; percent."""
    rows = result["rows"]
    clean = next((row["miou"] for row in rows if row["kind"] == "clean"), None)
    classes = list(rows[0]["iou"]) if rows else []
    lines = []
    missing = [row for row in rows if row["kind"] != "corruption"]
    if missing:
        head = ["missing", "cameras", *classes, "mIoU", "lost", "observed"]
        lines += [*table(head, [_missing_row(row, clean, classes) for row in missing]), ""]
    corruptions = _by_name([row for row in rows if row["kind"] == "corruption"])
    if corruptions:
        scores = result.get("resilience", {})
        body = [[name, *_by_severity(found), percent(scores.get(name, float("nan")))] for name, found in corruptions]
        lines += [*table(["mIoU under", "severity 1", "2", "3", "resilience"], body), ""]
    return [*lines, *_sentences(result)]


def plot(result: Mapping[str, Any], path: Path) -> None:
    """mIoU by what is missing, and by severity of each corruption. Raises ImportError without matplotlib."""
    from mapkd_core.drawing.figures import drawn

    with drawn(path, 11, 4.6) as figure:
        left, right = figure.subplots(1, 2)
        missing = [row for row in result["rows"] if row["kind"] != "corruption"]
        names = [row["name"] if row["kind"] != "any missing" else f"any {row['severity']}" for row in missing]
        left.barh(names, [100 * row["miou"] for row in missing], color="#33507f")
        left.invert_yaxis()
        left.set(xlabel="mIoU, percent", title="cameras missing")
        clean = next((row["miou"] for row in missing if row["kind"] == "clean"), None)
        for name, found in _by_name([row for row in result["rows"] if row["kind"] == "corruption"]):
            start = [] if clean is None else [(0, 100 * clean)]
            points = [*start, *((row["severity"], 100 * row["miou"]) for row in found)]
            right.plot(*zip(*points), "o-", label=name)
        right.set(xlabel="severity", ylabel="mIoU, percent", ylim=(0, None), xticks=range(4), title="corruptions")
        right.legend(frameon=False, fontsize=8)
        right.grid(color="0.92")


def _missing_row(row: Mapping[str, Any], clean: float | None, classes: Sequence[str]) -> list[str]:
    lost = "-" if not clean else percent(1 - row["miou"] / clean)
    ious = [percent(float("nan") if row["iou"][c] is None else row["iou"][c]) for c in classes]
    name = {"clean": "none", "any missing": "any, drawn per frame"}.get(row["kind"], row["name"])
    return [name, str(row["severity"]), *ious, percent(row["miou"]), lost, percent(row["observed"])]


def _by_name(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    names = dict.fromkeys(row["name"] for row in rows)
    return [(name, [row for row in rows if row["name"] == name]) for name in names]


def _by_severity(found: Sequence[Mapping[str, Any]]) -> list[str]:
    values = {row["severity"]: row["miou"] for row in found}
    return [percent(values.get(severity, float("nan"))) for severity in (1, 2, 3)]


def _sentences(result: Mapping[str, Any]) -> list[str]:
    lines = []
    if "mean_resilience" in result:
        lines.append(f"Mean resilience score {percent(result['mean_resilience'])} percent.")
    if lost := result.get("one_camera_lost"):
        word = "kept" if lost["most"] <= LIMIT else "not kept"
        lines.append(
            f"Frame by frame one lost camera costs {percent(lost['mean'])} percent of mIoU on average, "
            f"{percent(lost['most'])} at most ({lost['worst']}); the network alone has {word} the limit of "
            f"{100 * LIMIT:.0f}. With the node's memory, on drives: the next table."
        )
    where = result["machine"]
    return [*lines, f"{result['source']}, {result['frames']} frames, {result['model_id']}; {where['processor']}."]
