# SPDX-License-Identifier: Apache-2.0
"""Blocks of docs/dependability.md: name -> (JSON file, what makes Markdown of it)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mapkd_core.evaluation.report import percent, table
from mapkd_core.robustness.short_form import short_form
from mapkd_core.robustness.table import markdown

_FOLDER = "docs/results/dependability"


def fuzz(result: Mapping[str, Any]) -> list[str]:
    """A row for every target."""
    rows = [[name, str(r["cases"]), str(r["findings"]), f"{r['seconds']:g} s"] for name, r in result["targets"].items()]
    told = (
        f"{result['cases']} cases, seed {result['seed']}, {result['findings']} findings; bounds "
        f"{result['deadline_s']:g} s and {result['memory_bound_mb']} MiB, of which {result['memory_grown_mb']} were "
        "taken. "
        f"{result['machine']['processor']}."
    )
    return [*table(["target", "cases", "findings", "processor"], rows), "", told]


def watches(result: Mapping[str, Any]) -> list[str]:
    """How often each fault is told, and how often a sound drive causes an alarm."""
    rows = [[r["fault"], str(r["drives"]), percent(r["told"]), percent(r["others_told"])] for r in result["rows"]]
    return [*table(["fault", "drives", "told", "another camera blamed"], rows), "", f"{result['source']}."]


def rows(result: Mapping[str, Any]) -> list[str]:
    """A result that brings its own table: head, rows and, if it likes, a sentence `note`."""
    lines = table(result["head"], [[str(cell) for cell in row] for row in result["rows"]])
    return [*lines, *(["", result["note"]] if result.get("note") else [])]


BLOCKS: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "dependability-cameras": (f"{_FOLDER}/cameras.json", markdown),
    "dependability": ("docs/results/**/*.json", short_form),
    "dependability-watches": (f"{_FOLDER}/watches.json", watches),
    "dependability-fuzz": (f"{_FOLDER}/fuzz.json", fuzz),
    **{f"dependability-{name}": (f"{_FOLDER}/{name}.json", rows) for name in ("memory", "sync", "transport", "faults")},
}
