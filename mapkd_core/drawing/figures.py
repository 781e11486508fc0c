# SPDX-License-Identifier: Apache-2.0
"""Figures of results: made by matplotlib where it is installed, and the same file from the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mapkd_core.writing import aside


@contextmanager
def own_style(**settings: str) -> Iterator[None]:
    """Matplotlib's defaults and `settings`, whatever else the process uses: nuscenes-devkit sets a style for all.

    Raises ImportError, with the remedy, without matplotlib.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(f"the plot is drawn with matplotlib: pip install 'mapkd[plot]' ({error})") from error
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({name.replace("_", "."): value for name, value in settings.items()})
        yield


@contextmanager
def drawn(path: Path, width: float, height: float) -> Iterator[Any]:
    """An empty figure, in inches; at the end it is saved by the suffix of `path`, aside and renamed.

    Without date and random names inside. Raises ImportError, with the remedy, without matplotlib.
    """
    with own_style(svg_hashsalt="mapkd"):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        told = {"Date": None} if path.suffix == ".svg" else None
        with aside(path) as unfinished:
            figure.savefig(unfinished, metadata=told)
