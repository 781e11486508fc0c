# SPDX-License-Identifier: Apache-2.0
"""Results as Markdown: what stands in the marked blocks of README.md and docs, by the blocks' names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mapkd_core.bench import lasting, peers, rendering, soak_table
from mapkd_core.bench import speed as bench
from mapkd_core.bench.distill_markdown import markdown
from mapkd_core.commands import performance_blocks
from mapkd_core.commands.readme_scores import in_percent, retrained, scores, worlds
from mapkd_core.evaluation.report import table
from mapkd_core.robustness import blocks as robustness_blocks


def speed(result: dict[str, Any]) -> list[str]:
    """Forward times side by side, and how many times as long its peers' shapes take."""
    forward, runtime = result["forward_ms"], result.get("node_runtime", "auto")
    yardsticks = [name for name in (peers.HDMAPNET, peers.MAPKD) if name in forward]
    rows = [
        [
            f"{name} (`{runtime}`)" if name == bench.NODE else name, f"{ms['median']:.0f} ms", f"{ms['p90']:.0f} ms",
            *[f"{forward[peer]['median'] / ms['median']:.0f}" for peer in yardsticks],
        ]
        for name, ms in forward.items()
    ]  # fmt: skip
    costs = "; ".join(
        f"{name}: {cost['parameters_m']:.2f} M parameters, {cost['gflop']:.1f} GFLOP a frame"
        for name, cost in result["networks"].items()
    )
    machine = result["machine"]
    where = f"{machine['processor']}, {machine['threads']} threads. {machine['note']}".strip()
    head = ["forward pass, six cameras", "median", "p90", *[f"{p.split(',')[0]} takes, times" for p in yardsticks]]
    return [*table(head, rows), "", f"{costs}.", "", where]


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
    what = f"Validation IoU in percent after {result['steps']} steps of {result['batch']} frames"
    return [*table(head, rows), "", f"{what}, seed {result['seed']}; all but the camera encoder from nothing."]


def demo(metrics: dict[str, Any]) -> list[str]:
    """Frames, rate and latency of a run through the nodes."""
    latency = metrics["latency_ms"] or {}
    share = in_percent(metrics["frames_out_over_in"])
    rows = [
        ["frames in, maps out", f"{metrics['frames_in']}, {metrics['frames_out']} ({share} %)"],
        ["maps a second", f"{metrics['rate_hz']:.1f}"],
        ["replayed at", f"{metrics.get('replay_speed', 1.0):g} of real time"],
        *[[f"latency {name}", f"{value:.0f} ms"] for name, value in latency.items()],
        ["mIoU, mAP", f"{in_percent(metrics['miou'])}, {in_percent(metrics['map'])}"],
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


def realism(summary: dict[str, Any]) -> list[str]:
    """What `mapkd compare` found."""
    return table(["", "real", "made"], [list(row) for row in summary["rows"]])


def distill_plot(result: dict[str, Any]) -> list[str]:
    """The picture that `mapkd bench distill --plot` makes of the same table."""
    what = f"Scores of teacher, coach and every student on roads-v1 {result['size']}, without ablations"
    return [f"![{what}](images/distill.svg)"]


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
