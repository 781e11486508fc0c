# SPDX-License-Identifier: Apache-2.0
"""Results as Markdown: what stands in the marked blocks of README.md and docs/model_card.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mapkd_core.bench import lasting, rendering, soak_table
from mapkd_core.bench.distill_markdown import markdown
from mapkd_core.commands import performance_blocks
from mapkd_core.evaluation.report import table
from mapkd_core.robustness import blocks as robustness_blocks


def scores(report: dict[str, Any]) -> list[str]:
    """Tables of a report of `mapkd evaluate`: IoU, then AP of every kind of vectors."""
    first = next(iter(report["vectors"].values()))
    bands = list(first["iou_by_distance"])
    head = ["IoU, percent", "all", *[f"{band} m" for band in bands]]
    rows = [
        [c, _percent(first["iou"][c]), *[_percent(first["iou_by_distance"][b][c]) for b in bands]]
        for c in first["classes"]
    ]
    rows.append(
        ["**mean**", f"**{_percent(first['miou'])}**", *[_mean(first["iou_by_distance"][b].values()) for b in bands]]
    )
    lines = [*table(head, rows), ""]
    for vectors, result in report["vectors"].items():
        thresholds = list(next(iter(result["ap"].values())))
        head = [f"AP of the {vectors} head, percent", *[f"{t} m" for t in thresholds], "mean"]
        rows = [
            [c, *[_percent(result["ap"][c][t]) for t in thresholds], _percent(result["class_ap"][c])]
            for c in result["classes"]
        ]
        means = [_mean(result["ap"][c][t] for c in result["classes"]) for t in thresholds]
        rows.append(["**mean**", *means, f"**{_percent(result['map'])}**"])
        lines += [*table(head, rows), ""]
    return [*lines, f"{report['source']}, {first['frames']} frames, pictures rendered at {report['size']} size."]


def retrained(reports: dict[str, dict[str, Any]]) -> list[str]:
    """Reports named `<worlds>-<which weights>` side by side, then one column for each of what makes a scene hard."""
    parts = {"IoU by light": "iou_by_light", "IoU by sight": "iou_by_sight"}
    first = {name: next(iter(report["vectors"].values())) for name, report in reports.items()}
    classes = next(iter(first.values()))["classes"]
    rows = [
        [name, f"**{_percent(found['miou'])}**", *[_percent(found["iou"][c]) for c in classes],
         *[_mean(band.values()) for band in found["iou_by_distance"].values()], _percent(found["map"])]
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
    rows = [[name, _percent(values["miou"]), _percent(values["map"])] for name, values in report["worlds"].items()]
    return table(["drive", "mIoU", "mAP"], rows)


def speed(result: dict[str, Any]) -> list[str]:
    """Forward times side by side."""
    rows = [[name, f"{ms['median']:.0f} ms", f"{ms['p90']:.0f} ms"] for name, ms in result["forward_ms"].items()]
    costs = "; ".join(
        f"{name}: {cost['parameters_m']:.2f} M parameters, {cost['gflop']:.1f} GFLOP a frame"
        for name, cost in result["networks"].items()
    )
    ratios = ", ".join(f"{name} {ratio} times" for name, ratio in result["ratios"].items())
    machine = result["machine"]
    where = f"{machine['processor']}, {machine['threads']} threads. {machine['note']}".strip()
    return [
        *table(["forward pass, six cameras", "median", "p90"], rows),
        "",
        f"{costs}. Faster by: {ratios}.",
        "",
        where,
    ]


def students(result: dict[str, Any]) -> list[str]:
    """Shapes of the student that were weighed against each other."""
    rows = [
        [
            name, *[f"{row['validation'][f'iou_{c}']:.1f}" for c in ("divider", "ped_crossing", "boundary")],
            f"{row['validation']['miou']:.1f}", f"{row['gflop']:.1f}", f"{row['parameters_m']:.2f} M",
            f"{row['forward_ms']['median']:.0f} ms",
        ]
        for name, row in result["students"].items()
    ]  # fmt: skip
    head = ["student", "divider", "ped_crossing", "boundary", "mIoU", "GFLOP", "parameters", "forward"]
    what = f"Validation IoU in percent after {result['steps']} steps of {result['batch']} frames from nothing"
    return [*table(head, rows), "", f"{what}, seed {result['seed']}."]


def demo(metrics: dict[str, Any]) -> list[str]:
    """Frames, rate and latency of a run through the nodes."""
    latency = metrics["latency_ms"] or {}
    share = _percent(metrics["frames_out_over_in"])
    rows = [
        ["frames in, maps out", f"{metrics['frames_in']}, {metrics['frames_out']} ({share} %)"],
        ["maps a second", f"{metrics['rate_hz']:.1f}"],
        ["replayed at", f"{metrics.get('replay_speed', 1.0):g} of real time"],
        *[[f"latency {name}", f"{value:.0f} ms"] for name, value in latency.items()],
        ["mIoU, mAP", f"{_percent(metrics['miou'])}, {_percent(metrics['map'])}"],
    ]
    return table(["through the nodes, over DDS", ""], rows)


def card(content: dict[str, Any]) -> list[str]:
    """The facts of a model card; its scores have blocks of their own."""
    model, grid = content["model"], content["model"]["grid"]
    data, normalisation = content.get("training_data", {}), content.get("normalisation", {})
    rows = [
        ["name", content.get("model_id", "")],
        ["sha256", f"`{content['sha256']}`"],
        ["licence", content.get("licence", "")],
        ["classes", ", ".join(model["classes"])],
        ["range", f"x {grid['x_min']:g} to {grid['x_max']:g} m, y {grid['y_min']:g} to {grid['y_max']:g} m, ego frame"],
        ["canvas", f"cells of {grid['cell']:g} m"],
        ["pictures", f"{model['image_width']} x {model['image_height']}; {content.get('preprocessing', '')}"],
        [
            "normalisation",
            f"{normalisation.get('colour')}, mean {normalisation.get('mean')}, std {normalisation.get('std')}",
        ],
        ["cameras of training", ", ".join(content.get("camera_order", []))],
        ["camera order", content.get("camera_order_note", "")],
        ["polylines by default", f"{content.get('vectors', 'raster')} head"],
        [
            "training data",
            f"{data.get('kind', '')}; seeds {data.get('seeds', '')}; pretrained: {data.get('pretrained', '')}",
        ],
        ["limits", content.get("limits", "")],
    ]
    return ["| | |", "|---|---|", *[f"| {name} | {value} |" for name, value in rows]]


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _mean(values: Any) -> str:
    numbers = [value for value in values if value is not None]
    return _percent(sum(numbers) / len(numbers)) if numbers else "-"


def realism(summary: dict[str, Any]) -> list[str]:
    """What `mapkd compare` found."""
    return table(["", "real", "made"], [list(row) for row in summary["rows"]])


def distill_plot(result: dict[str, Any]) -> list[str]:
    """The picture that `mapkd bench distill --plot` makes of the same table."""
    return [f"![Every row's scores on roads-v1 {result['size']}](images/distill.svg)"]


BLOCKS: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "scores-procedural": ("docs/results/procedural.json", scores),
    "scores-roads": ("docs/results/roads.json", scores),
    "worlds-roads": ("docs/results/roads.json", worlds),
    "retrained": ("docs/results/retrained/*.json", retrained),
    "speed": ("docs/results/speed.json", speed),
    "students": ("docs/results/students.json", students),
    "distill": ("docs/results/distill.json", markdown),
    "distill-plot": ("docs/results/distill.json", distill_plot),
    "demo": ("docs/results/demo.json", demo),
    "rendering": ("docs/results/rendering.json", rendering.markdown),
    "realism-lidar": ("docs/realism/lidar.json", realism),
    "realism-cameras": ("docs/realism/cameras.json", realism),
    "realism-sd": ("docs/realism/sd.json", realism),
    "fusion": ("docs/results/fusion.json", lasting.markdown),
    "soak": ("docs/results/soak-*.json", soak_table.markdown),
    "card": ("mapkd_core/weights/student.json", card),
    **performance_blocks.BLOCKS,
    **robustness_blocks.BLOCKS,
}
