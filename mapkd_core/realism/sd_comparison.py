# SPDX-License-Identifier: Apache-2.0
"""The error of navigation lines: of real road maps, and of procedural worlds with the error made for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mapkd_core.data import seeds
from mapkd_core.realism.sd_error import statistics
from mapkd_core.worlds import procedural, road_map_file

_DIGITS = 3


def compare(paths: Sequence[Path], worlds: int) -> tuple[dict[str, Any], str]:
    """Summary and text for real road maps and `worlds` procedural ones of the demo seeds."""
    if worlds < 1:
        raise ValueError(f"worlds = {worlds}; must be at least 1")
    real = statistics([road_map_file.load(path) for path in paths])
    made = [procedural.make_road_map(seed) for seed in tqdm(seeds.DEMO[:worlds], "worlds", delay=2)]
    ours = statistics(made)
    found = rows(real, ours)
    text = [f"{label:<48}{one:>14}{other:>14}" for label, one, other in [("", "real", "procedural"), *found]]
    return {"rows": found, "real": _rounded(real), "procedural": _rounded(ours)}, "\n".join(text)


def rows(real: dict[str, Any], procedural_worlds: dict[str, Any]) -> list[tuple[str, ...]]:
    """Label, real, procedural: the statistics as a person compares them."""
    pair = (real, procedural_worlds)
    found: list[tuple[str, ...]] = [
        ("maps, samples", *(f"{s['maps']}, {s['samples']}" for s in pair)),
        (
            "across the road, median (90 %)",
            *(f"{s['lateral']['median']:.1f} ({s['lateral']['p90']:.1f}) m" for s in pair),
        ),
        ("common shift of a map, mean", *(f"{s['shift']:.1f} m" for s in pair)),
        ("without that shift, median (90 %)", *(f"{s['rest']['median']:.1f} ({s['rest']['p90']:.1f}) m" for s in pair)),
    ]
    for lag in real["correlation"]:
        values = (s["correlation"][lag] for s in pair)
        found.append((f"correlation of the rest, {lag} m along the road", *(f"{value:.2f}" for value in values)))
    return [
        *found,
        ("heading, median (90 %)", *("{median:.1f} ({p90:.1f})°".format(**s["heading_deg"]) for s in pair)),
        ("lanes without a line", *(f"{100 * s['missing']:.0f} %" for s in pair)),
        ("distance of vertices, median", *(f"{s['segment']:.0f} m" for s in pair)),
    ]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return round(value, _DIGITS) if isinstance(value, float) else value
