# SPDX-License-Identifier: Apache-2.0
"""Curves of the page, drawn by matplotlib as SVG that asks for nothing from outside."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mapkd_core.drawing.colours import colour_of
from mapkd_core.drawing.figures import own_style

_SIZE_IN = (4.0, 3.0)
# Creator and date would differ from machine to machine, and name an address.
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def by_threshold(report: Mapping[str, Any]) -> str:
    """AP over the distance that still counts as a hit."""
    lines = {name: [(float(t), value) for t, value in row.items()] for name, row in report.get("ap", {}).items()}
    return _plot(lines, "AP by threshold", "threshold [m]", "AP", is_share=False)


def by_distance(report: Mapping[str, Any]) -> str:
    """IoU by distance from the vehicle, at the middle of each band."""
    lines: dict[str, list[tuple[float, float | None]]] = {}
    for band, values in report.get("iou_by_distance", {}).items():
        low, high = (float(edge) for edge in band.split("-"))
        for name, value in values.items():
            lines.setdefault(name, []).append(((low + high) / 2, value))
    return _plot(lines, "IoU by distance", "distance [m]", "IoU", is_share=False)


def precision_recall(by_class: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]) -> str:
    """One picture for each threshold; nothing where the evaluation kept no curves."""
    thresholds = sorted({t for row in by_class.values() for t in row}, key=float)
    pictures = []
    for t in thresholds:
        lines = {name: [(r, p) for r, p in row.get(t, ())] for name, row in by_class.items()}
        pictures.append(_plot(lines, f"Precision and recall at {t} m", "recall", "precision", is_share=True))
    return "".join(pictures)


def reliability(diagrams: Mapping[str, Mapping[str, Mapping[str, Sequence[float | None]]]]) -> str:
    """One picture for each kind of score: share of hits over mean score; on the diagonal a score is what it says."""
    pictures = []
    for what, by_class in diagrams.items():
        points = {name: list(zip(row["score"], row["hit_rate"])) for name, row in by_class.items()}
        lines = {name: [(x, y) for x, y in row if x is not None] for name, row in points.items()}
        title = f"Reliability of the scores of {what}"
        pictures.append(_plot(lines, title, "mean score", "share of hits", is_share=True, diagonal=True))
    return "".join(pictures)


def histogram(values: Sequence[float | None], name: str) -> str:
    """How the frames' mIoU is spread."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    with _drawn("mIoU of single frames", f"mIoU, {name}", "frames") as (axes, page):
        axes.hist(known, bins=20, range=(0, 1), color="#5b7fb5")
    return "".join(page)


def _plot(
    lines: Mapping[str, Sequence[tuple[float, float | None]]],
    title: str,
    x: str,
    y: str,
    *,
    is_share: bool,
    diagonal: bool = False,
) -> str:
    known = {name: [(a, b) for a, b in points if b is not None] for name, points in lines.items()}
    known = {name: points for name, points in known.items() if points}
    if not known:
        return ""
    with _drawn(title, x, y) as (axes, page):
        if diagonal:
            axes.plot([0, 1], [0, 1], color="0.6", linestyle="--")
        for name, points in known.items():
            colour = tuple(channel / 255 * 0.85 for channel in colour_of(name))  # darker: the page is white
            xs, ys = zip(*sorted(points, key=lambda point: point[0]))
            axes.plot(xs, ys, color=colour, marker="" if is_share and not diagonal else "o", label=name)
        axes.set_ylim(0, 1 if is_share else None)
        if is_share:
            axes.set_xlim(0, 1)
        axes.legend(frameon=False)
    return "".join(page)


@contextmanager
def _drawn(title: str, x: str, y: str) -> Iterator[tuple[Any, list[str]]]:
    """Empty axes, and a list that holds the picture at the end."""
    page: list[str] = []
    # A salt of its own: two pictures of one page must not share names of their parts.
    with own_style(svg_fonttype="none", svg_hashsalt=title + x):
        from matplotlib.figure import Figure

        figure = Figure(figsize=_SIZE_IN, layout="constrained")
        axes = figure.subplots()
        axes.set(title=title, xlabel=x, ylabel=y)
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
        yield axes, page
        page.append(_svg(figure))


def _svg(figure: Any) -> str:
    """The <svg> alone, its text as text; names of namespaces, which look like addresses, are not needed in HTML."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata=_NO_METADATA)
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)
