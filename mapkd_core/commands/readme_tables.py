# SPDX-License-Identifier: Apache-2.0
"""Rewrite the results in README.md and docs/model_card.md from JSON: no number there is typed by hand.

    python -m mapkd_core.commands.readme_tables          # after new results in docs/results, or new weights
    python -m mapkd_core.commands.readme_tables --check  # exit code 1 where a document is out of date

A block lies between `<!-- begin NAME -->` and `<!-- end NAME -->`; the names are the keys of BLOCKS.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mapkd_core.evaluation.report import table

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "docs/model_card.md")
_BLOCK = re.compile(r"(<!-- begin ([\w-]+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)


def rewritten(text: str, root: Path = ROOT) -> str:
    """The document with every block made anew. Raises ValueError for a block of an unknown name."""

    def block(found: re.Match[str]) -> str:
        if found[2] not in BLOCKS:
            raise ValueError(f"block {found[2]!r} is unknown; known: {', '.join(BLOCKS)}")
        file, draw = BLOCKS[found[2]]
        path = root / file
        body = draw(json.loads(path.read_text())) if path.is_file() else [f"Not measured yet: `{file}` is not there."]
        return "\n".join([found[1] + "", *body, "", found[3]])

    return _BLOCK.sub(block, text)


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


BLOCKS: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "scores-procedural": ("docs/results/procedural.json", scores),
    "scores-roads": ("docs/results/roads.json", scores),
    "worlds-roads": ("docs/results/roads.json", worlds),
    "speed": ("docs/results/speed.json", speed),
    "demo": ("docs/results/demo.json", demo),
    "card": ("mapkd_core/weights/student.json", card),
}


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 with --check where a document would change."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, say what is out of date")
    options = parser.parse_args(arguments)
    stale = []
    for path in (ROOT / name for name in DOCUMENTS):
        old = path.read_text()
        new = rewritten(old)
        if new != old:
            stale.append(str(path.relative_to(ROOT)))
            if not options.check:
                path.write_text(new)
    sys.stderr.write(f"{'out of date' if options.check else 'rewritten'}: {', '.join(stale) or 'nothing'}\n")
    return int(options.check and bool(stale))


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _mean(values: Any) -> str:
    numbers = [value for value in values if value is not None]
    return _percent(sum(numbers) / len(numbers)) if numbers else "-"


if __name__ == "__main__":
    sys.exit(main())
