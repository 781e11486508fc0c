# SPDX-License-Identifier: Apache-2.0
"""Reports of `mapkd evaluate` as Markdown: IoU, AP, worlds, and weights side by side."""

from __future__ import annotations

from typing import Any

from mapkd_core.evaluation.report import table


def scores(report: dict[str, Any]) -> list[str]:
    """Tables of a report of `mapkd evaluate`: IoU, then AP of every kind of vectors."""
    first = next(iter(report["vectors"].values()))
    bands = list(first["iou_by_distance"])
    head = ["IoU, percent", "all", *[f"{band} m" for band in bands]]
    rows = [
        [c, in_percent(first["iou"][c]), *[in_percent(first["iou_by_distance"][b][c]) for b in bands]]
        for c in first["classes"]
    ]
    rows.append(
        ["**mean**", f"**{in_percent(first['miou'])}**", *[_mean(first["iou_by_distance"][b].values()) for b in bands]]
    )
    lines = [*table(head, rows), ""]
    for vectors, result in report["vectors"].items():
        thresholds = list(next(iter(result["ap"].values())))
        head = [f"AP of the {vectors} head, percent", *[f"{t} m" for t in thresholds], "mean"]
        rows = [
            [c, *[in_percent(result["ap"][c][t]) for t in thresholds], in_percent(result["class_ap"][c])]
            for c in result["classes"]
        ]
        means = [_mean(result["ap"][c][t] for c in result["classes"]) for t in thresholds]
        rows.append(["**mean**", *means, f"**{in_percent(result['map'])}**"])
        lines += [*table(head, rows), ""]
    return [*lines, f"{report['source']}, {first['frames']} frames, pictures rendered at {report['size']} size."]


def retrained(reports: dict[str, dict[str, Any]]) -> list[str]:
    """Reports named `<worlds>-<which weights>` side by side, then one column for each of what makes a scene hard."""
    parts = {"IoU by light": "iou_by_light", "IoU by sight": "iou_by_sight"}
    first = {name: next(iter(report["vectors"].values())) for name, report in reports.items()}
    classes = next(iter(first.values()))["classes"]
    rows = [
        [name, f"**{in_percent(found['miou'])}**", *[in_percent(found["iou"][c]) for c in classes],
         *[_mean(band.values()) for band in found["iou_by_distance"].values()], in_percent(found["map"])]
        for name, found in first.items()
    ]  # fmt: skip
    bands = [f"{band} m" for band in next(iter(first.values()))["iou_by_distance"]]
    lines = table(["worlds, weights", "mIoU", *classes, *bands, "mAP"], rows)
    for title, key in parts.items():
        if all(found.get(key) for found in first.values()):
            kinds = list(dict.fromkeys(kind for found in first.values() for kind in found[key]))
            rows = [[name, *[_mean(f[key].get(kind, {}).values()) for kind in kinds]] for name, f in first.items()]
            lines += ["", *table([title, *kinds], rows)]
    return lines


def worlds(report: dict[str, Any]) -> list[str]:
    """mIoU and mAP of every world of a report."""
    rows = [[name, in_percent(values["miou"]), in_percent(values["map"])] for name, values in report["worlds"].items()]
    return table(["drive", "mIoU", "mAP"], rows)


def in_percent(value: float | None) -> str:
    """0.3784 -> "37.8"; "-" for none."""
    return "-" if value is None else f"{100 * value:.1f}"


def _mean(values: Any) -> str:
    numbers = [value for value in values if value is not None]
    return in_percent(sum(numbers) / len(numbers)) if numbers else "-"
