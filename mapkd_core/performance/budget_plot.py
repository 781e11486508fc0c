# SPDX-License-Identifier: Apache-2.0
"""The budget as a stacked bar, and the parts of the network under the roofs of the machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.drawing.figures import drawn

COLOURS = {
    "decode": "#33507f", "resize": "#4f6d9c", "prepare": "#6f8fbf", "plan": "#b9c6da",
    "backbone": "#8a5a2b", "view": "#b98a4e", "decoder": "#d9b679", "raster head": "#e8d3a9", "query head": "#f2e7cf",
    "network": "#c99b5a", "vectorise": "#5b8c5a",
}  # fmt: skip
AIM_MS = 66.0  # 15 Hz


def bar(result: Mapping[str, Any], path: Path) -> None:
    """A bar for each path from JPEG to map, the network split by its parts' shares. Format by the suffix of `path`.

    Raises ImportError without matplotlib.
    """
    with drawn(path, 9, 1.3 + 0.55 * len(result["stages_ms"])) as figure:
        axes = figure.subplots()
        for row, stages in enumerate(result["stages_ms"].values()):
            left = 0.0
            for part, value in _pieces(stages, result["parts"]).items():
                axes.barh(row, value, left=left, color=COLOURS[part], label=part if row == 0 else None)
                left += value
            axes.text(left + 1, row, f"{stages['total']['p50']:.0f} ms, p95 {stages['total']['p95']:.0f}", va="center")
        axes.set_yticks(range(len(result["stages_ms"])), list(result["stages_ms"]))
        axes.axvline(AIM_MS, color="0.4", linestyle="--", linewidth=1)
        longest = max(AIM_MS, *(stages["total"]["p50"] for stages in result["stages_ms"].values()))
        axes.set(xlabel="ms a frame, median; dashed: 15 Hz", xlim=(0, 1.25 * longest))
        axes.invert_yaxis()
        figure.legend(loc="outside upper center", ncols=5, frameon=False)


def roofline(result: Mapping[str, Any], path: Path) -> None:
    """Operations a second over operations a byte: roofs of memory and of convolutions, a point for each part."""
    roofs, precision = result["ceilings"], result.get("precision", "fp32")
    with drawn(path, 7, 4.5) as figure:
        axes = figure.subplots()
        x = np.geomspace(0.5, 1000, 200)
        roof = np.minimum(x * roofs["bandwidth_gbs"], result.get("roof_gflops", roofs["conv_gflops"]))
        axes.plot(x, roof, color="0.2", label=f"roof of this machine in {precision}")
        axes.axhline(
            roofs["own_conv_gflops"], color="0.5", linestyle=":", label="the network's convolutions alone, in fp32"
        )
        for name, row in result["parts"].items():
            axes.plot(row["intensity"], row["gflops"], "o", color=COLOURS[name], markeredgecolor="0.2")
            place, side = ((-6, -3), "right") if _is_crowded(name, result["parts"]) else ((6, -3), "left")
            point = (row["intensity"], row["gflops"])
            axes.annotate(name, point, xytext=place, ha=side, textcoords="offset points")
        axes.set(xscale="log", yscale="log", xlabel="operations a byte", ylabel="GFLOP/s")
        axes.legend(frameon=False, loc="lower right")
        axes.grid(color="0.92")


def _is_crowded(name: str, parts: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether another part's point lies where the label of this one would, on its right."""
    own = parts[name]
    right = [row for other, row in parts.items() if other != name and 1 <= row["intensity"] / own["intensity"] < 3]
    return any(0.8 < row["gflops"] / own["gflops"] < 1.25 for row in right)


def _pieces(stages: Mapping[str, Mapping[str, float]], parts: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Median of every stage; that of the network shared out by what its parts take."""
    whole = sum(row["p50"] for row in parts.values())
    pieces: dict[str, float] = {}
    for stage, times in stages.items():
        if stage == "network" and whole:
            pieces |= {name: times["p50"] * row["p50"] / whole for name, row in parts.items()}
        elif stage != "total":
            pieces[stage] = times["p50"]
    return pieces
