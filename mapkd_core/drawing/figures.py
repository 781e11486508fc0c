# SPDX-License-Identifier: Apache-2.0
"""Figures of results: made by matplotlib where it is installed, and the same file from the same numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mapkd_core.writing import aside


def figure_of(width: float, height: float) -> Any:
    """An empty figure, in inches. Raises ImportError, with the remedy, without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(f"the plot is drawn with matplotlib: pip install 'mapkd[plot]' ({error})") from error
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Any, path: Path) -> None:
    """By the suffix of `path`, aside and renamed; without date and random names inside."""
    import matplotlib

    told = {"Date": None} if path.suffix == ".svg" else None
    with aside(path) as unfinished, matplotlib.rc_context({"svg.hashsalt": "mapkd"}):
        figure.savefig(unfinished, metadata=told)
