# SPDX-License-Identifier: Apache-2.0
"""The result of `mapkd bench reduced` as Markdown."""

from __future__ import annotations

from typing import Any

from mapkd_core.evaluation.report import table


def markdown(result: dict[str, Any]) -> list[str]:
    """Scores side by side, what is lost beside its standard error, and how far cells and pixels are apart."""
    names = {"raw": "as rendered", "whole": "JPEG, every pixel", "reduced": f"JPEG, 1/{result['factor']} of the size"}
    rows = [[names[kind], _text(100, s["miou"], 1), _text(100, s["map"], 1)] for kind, s in result["scores"].items()]
    lines = [*table(["pictures", "mIoU", "mAP"], rows), ""]
    head = ["", "points of mIoU lost", "of mAP", "cells of one label", "probability", "input", "pixels 3 or more away"]
    rows = []
    for (pair, lost), apart in zip(result["lost"].items(), result["apart"].values()):
        points = [f"{_text(1, lost[key]['mean'], 2)} ± {_text(1, lost[key]['error'], 2)}" for key in ("miou", "map")]
        cells = [f"{100 * apart['same_label']:.2f} %", f"{apart['probability']:.2f}", f"{apart['pixel']:.2f}"]
        rows.append([pair, *points, *cells, f"{100 * apart['pixels_far']:.1f} %"])
    width, height = result["picture"]
    note = (
        f"{result['frames']} frames of {result['worlds']} test worlds, {width} x {height}, JPEG quality "
        f"{result['quality']}. Points lost are means over worlds ± one standard error; probability and input are so "
        "far away on average, of 255."
    )
    return [*lines, *table(head, rows), "", note]


def _text(factor: float, value: float | None, digits: int) -> str:
    return "-" if value is None else f"{factor * value:.{digits}f}"
