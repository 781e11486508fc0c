# SPDX-License-Identifier: Apache-2.0
"""The table of `mapkd bench distill` as a picture: mIoU and mAP of every row, with the deviation over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mapkd_core.drawing.figures import drawn

_COLOURS = {"validation": "#9db4d3", "test": "#33507f"}
_NAMES = {"validation": "validation worlds", "test": "real roads"}


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Bars of all rows but ablations, in percent, by the suffix of `path` as SVG, PNG or PDF.

    Raises ImportError without matplotlib.
    """
    rows = {name: row for name, row in result["rows"].items() if not row["of"]}
    with drawn(path, 10, 1.2 + 0.36 * len(rows)) as figure:
        for axes, score in zip(figure.subplots(1, 2, sharey=True), ("mIoU", "mAP"), strict=True):
            _bars(axes, rows, score)
        figure.axes[0].legend(frameon=False, loc="lower right")


def _bars(axes: Any, rows: Mapping[str, Any], score: str) -> None:
    splits = [s for s in _NAMES if all(s in row for row in rows.values())]
    height = 0.8 / max(1, len(splits))
    for i, split in enumerate(splits):
        values = [row[split]["miou"] if score == "mIoU" else row[split]["query"]["map"] for row in rows.values()]
        places = [y + (i - (len(splits) - 1) / 2) * height for y in range(len(rows))]
        means, deviations = ([100 * (v[key] or 0) for v in values] for key in ("mean", "deviation"))
        axes.barh(places, means, height, xerr=deviations, color=_COLOURS[split], label=_NAMES[split])
    axes.set_yticks(range(len(rows)), [row["label"] for row in rows.values()])
    axes.set(title=f"{score}, percent")
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    if not axes.yaxis_inverted():
        axes.invert_yaxis()
