# SPDX-License-Identifier: Apache-2.0
"""The page: what `mapkd evaluate --out` or `mapkd score --json` wrote, in the order in which a reader asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mapkd_core.report_page import curves
from mapkd_core.report_page.html import CSS, number, percent, picture, table

WORST = 10


def page(evaluation: Mapping[str, Any], folder: Path) -> str:
    """HTML of an evaluation's JSON. folder: where relative paths of its pictures start.

    Raises ValueError where the JSON is no evaluation, FileNotFoundError for a picture that is gone.
    """
    vectors = reports(evaluation)
    source = str(evaluation.get("source", "Evaluation"))
    body = [f"<h1>{escape(source)}</h1>", _facts(evaluation), _summary(vectors)]
    for name, report in vectors.items():
        body += [f"<h2>{escape(name)}</h2>", _classes(report), *_notes(report), *_difficulty(report)]
        plots = [
            curves.by_threshold(report), curves.by_distance(report),
            curves.precision_recall(evaluation.get("curves", {}).get(name, {})),
            curves.reliability(evaluation.get("reliability", {}).get(name, {})),
        ]  # fmt: skip
        body.append(f'<div class="plots">{"".join(plots)}</div>')
    body += [_worlds(evaluation.get("worlds", {})), _frames(evaluation, folder)]
    head = f'<meta charset="utf-8"><title>{escape(source)}</title><style>{CSS}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"


def reports(evaluation: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Kind of vectors, or protocol -> its report; ValueError where there is none."""
    found = evaluation.get("vectors")
    if found is None and "class_ap" in evaluation:
        found = {str(evaluation.get("protocol", "scores")): evaluation}
    if not isinstance(found, Mapping) or not found or not all("class_ap" in report for report in found.values()):
        raise ValueError(
            f"no evaluation: it has the keys {', '.join(list(evaluation)[:8])}; expected what "
            "`mapkd evaluate --out FILE` or `mapkd score --json` writes"
        )
    return {str(name): report for name, report in found.items()}


def _facts(evaluation: Mapping[str, Any]) -> str:
    names = ("weights", "sha256", "size", "varied_rig", "first_seed", "seconds", "range_m", "as_released")
    cells = [f"<dt>{name}</dt><dd>{escape(str(evaluation[name]))}</dd>" for name in names if name in evaluation]
    return f"<dl>{''.join(cells)}</dl>"


def _summary(vectors: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [name, percent(r.get("miou")), percent(r.get("map")), number(r.get("frames")), str(r.get("protocol", ""))]
        for name, r in vectors.items()
    ]
    return table(["lines by", "mIoU", "mAP", "frames", "AP by"], rows)


def _classes(report: Mapping[str, Any]) -> str:
    bands, ap, iou = report.get("iou_by_distance", {}), report.get("ap", {}), report.get("iou", {})
    thresholds = sorted({t for by_threshold in ap.values() for t in by_threshold}, key=float)
    head = ["class", "IoU", *(f"IoU {band} m" for band in bands), *(f"AP@{t}" for t in thresholds), "AP"]
    rows = []
    for name in report["class_ap"]:
        cells = [percent(iou.get(name)), *(percent(values.get(name)) for values in bands.values())]
        cells += [percent(ap.get(name, {}).get(t)) for t in thresholds] + [percent(report["class_ap"][name])]
        counts = [number(report.get(key, {}).get(name)) for key in ("truths", "detections")]
        rows.append([name, *cells, *counts])
    return table([*head, "truth", "found"], rows)


def _notes(report: Mapping[str, Any]) -> list[str]:
    return [f"<p>{escape(str(note))}</p>" for note in report.get("notes", ())]


def _difficulty(report: Mapping[str, Any]) -> list[str]:
    """Tables by light, by sight, and of calibration; none where the evaluation knew nothing of it."""
    classes = list(report["class_ap"])
    by_light, by_sight, ece = (report.get(key) or {} for key in ("iou_by_light", "iou_by_sight", "ece"))
    frames, shares = report.get("frames_by_light", {}), report.get("truth_by_sight", {})
    parts = []
    if by_light:
        rows = [[light, number(frames.get(light)), *_row(values, classes)] for light, values in by_light.items()]
        parts.append(table(["IoU by light", "frames", *classes, "mean"], rows))
    if by_sight:
        rows = [[name, percent(shares.get(name)), *_row(values, classes)] for name, values in by_sight.items()]
        parts.append(table(["IoU of ground", "of the lines", *classes, "mean"], rows))
    if ece:
        parts.append(
            table(["ECE of", *classes, "mean"], ([what, *_row(values, classes)] for what, values in ece.items()))
        )
    return parts


def _row(values: Mapping[str, float | None], classes: Sequence[str]) -> list[str]:
    """Percent of each class, then of their mean."""
    known = [value for value in values.values() if value is not None]
    return [*(percent(values.get(name)) for name in classes), percent(sum(known) / len(known) if known else None)]


def _worlds(worlds: Mapping[str, Mapping[str, Any]]) -> str:
    if not worlds:
        return ""
    order = sorted(worlds, key=lambda name: (worlds[name].get("miou") is None, worlds[name].get("miou")))
    keys = list(next(iter(worlds.values())))
    rows = [[name, *(percent(worlds[name].get(key)) for key in keys)] for name in order]
    return f"<h2>Drives, worst first</h2>{table(['drive', *keys], rows)}"


def _frames(evaluation: Mapping[str, Any], folder: Path) -> str:
    frames: Sequence[Mapping[str, Any]] = evaluation.get("each_frame", ())
    if not frames:
        return "<p>No scores of single frames: evaluate with --per-frame or --pictures DIR.</p>"
    by_token = {frame["token"]: frame for frame in frames}
    first = next(iter(frames[0]["vectors"]))
    parts = [f"<h2>Frames</h2>{curves.histogram([frame['vectors'][first]['miou'] for frame in frames], first)}"]
    worst = [entry for entry in evaluation.get("worst", ()) if entry["token"] in by_token][:WORST]
    for rank, entry in enumerate(worst, 1):
        frame = by_token[entry["token"]]
        scores = "; ".join(
            f"{name}: mIoU {percent(s['miou'])}, mAP {percent(s['map'])}" for name, s in frame["vectors"].items()
        )
        parts.append(f"<h3>{rank}. {escape(entry['token'])}</h3><p>{escape(scores)}; {frame['truths']} true lines</p>")
        parts.append(
            picture(folder, entry["picture"]) if entry.get("picture") else "<p>Evaluated without --pictures.</p>"
        )
    return "\n".join(parts)
