# SPDX-License-Identifier: Apache-2.0
"""Pieces of the page: tables, numbers as readers expect them, pictures as part of the file."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

CSS = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1240px; padding: 0 1em; color: #1d2026 }
table { border-collapse: collapse; margin: .6em 0 1.2em; font-variant-numeric: tabular-nums }
th, td { padding: .25em .7em; text-align: right; border-bottom: 1px solid #d9dce2 }
th:first-child, td:first-child { text-align: left }
thead th { border-bottom: 2px solid #8b919d; font-weight: 600 }
.plots { display: flex; flex-wrap: wrap; gap: 1em }
svg, img { max-width: 100%; height: auto }
dl { display: grid; grid-template-columns: max-content auto; gap: .1em 1em; color: #565c68; font-size: 13px }
dd { margin: 0; overflow-wrap: anywhere }
h2 { margin-top: 1.8em }
""".strip()


def percent(value: float | None) -> str:
    """0.3784 -> "37.8"; a dash for what could not be scored."""
    return "–" if value is None else f"{100 * value:.1f}"


def number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """First column left, the others right."""
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def picture(folder: Path, name: str) -> str:
    """A JPEG inside the page; FileNotFoundError where it is gone."""
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such picture; evaluate again with --pictures, or keep the two together")
    coded = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{escape(path.stem)}" src="data:image/jpeg;base64,{coded}">'
