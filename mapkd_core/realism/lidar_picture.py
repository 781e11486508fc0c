# SPDX-License-Identifier: Apache-2.0
"""A real and a rendered sweep side by side: from above, and their statistics."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.realism.lidar_statistics import HEIGHT_EDGES_M, RANGE_EDGES_M
from mapkd_core.writing import aside

_REACH_M = 45.0


def draw(
    clouds: Sequence[NDArray[np.floating]], statistics: Sequence[dict[str, Any]], names: Sequence[str], path: Path
) -> None:
    """Write a PNG. clouds, statistics and names: real and rendered, points P x 5 in the ego frame."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 14), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2)
    for axis, points, name in zip(axes[0], clouds, names, strict=True):
        near = points[np.abs(points[:, :2]).max(axis=1) < _REACH_M]
        axis.set_facecolor("black")
        axis.scatter(-near[:, 1], near[:, 0], c=near[:, 3], s=1.6, vmin=0, vmax=60, cmap="viridis", linewidths=0)
        axis.set(title=f"{name}: {len(points)} points, colour = intensity", aspect="equal", xlabel="-y [m]")
        axis.set(xlim=(-_REACH_M, _REACH_M), ylim=(-_REACH_M, _REACH_M), ylabel="x [m]")
    for statistic, name, style in zip(statistics, names, ("k-", "C1-"), strict=True):
        axes[1, 0].plot(statistic["per_ring"], style, label=f"{name}, all")
        axes[1, 0].plot(statistic["ground_per_ring"], style.replace("-", "--"), label=f"{name}, ground")
    axes[1, 0].set(xlabel="ring, 0 = lowest", ylabel="points")
    axes[1, 0].legend()
    _bars(axes[1, 1], statistics, names)
    with aside(path) as unfinished:
        figure.savefig(unfinished, dpi=70, format="png")


def _bars(axis: Any, statistics: Sequence[dict[str, Any]], names: Sequence[str]) -> None:
    """Shares by distance, then by height above ground."""
    labels = [f"{a:g}-{b:g} m" for a, b in pairwise(RANGE_EDGES_M)]
    labels += [f"{a:g}..{b:g} m high" for a, b in pairwise(HEIGHT_EDGES_M)]
    place = np.arange(len(labels))
    for i, (statistic, name, colour) in enumerate(zip(statistics, names, ("k", "C1"), strict=True)):
        shares = statistic["range_shares"] + statistic["height_shares"]
        axis.barh(place + 0.4 * i, shares, 0.38, color=colour, label=name)
    axis.set_yticks(place + 0.2, labels)
    axis.set(xlabel="share of points")
    axis.invert_yaxis()
    axis.legend()
