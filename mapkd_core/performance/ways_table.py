# SPDX-License-Identifier: Apache-2.0
"""The result of `ways_bench.run` as a table, for a terminal and for docs/performance.md."""

from __future__ import annotations

from typing import Any

from mapkd_core.evaluation.report import table

_APART = {"probability": "{:.0f}", "scores": "{:.1e}", "points": "{:.1e}"}
_HEAD = ["backend", "p50", "p95", "GFLOP/s", "of its roof", "mIoU", "mAP", "probability", "scores", "points", "good"]


def text(result: dict[str, Any]) -> str:
    """For a terminal."""
    kept = ", kept for this machine" if result["kept"] else ""
    return "\n".join([*_table(result), *_notes(result), f"chosen: {result['chosen'] or 'none'}{kept}"])


def markdown(result: dict[str, Any]) -> list[str]:
    """For the document. Results of schema 1 have no mAP and nothing that was compared: "-" stands there."""
    absent = ", ".join(result["not_installed"]) or "none"
    lacking = "".join(f" Not here: `{name}`, {what}." for name, what in result.get("processor_lacks", {}).items())
    chosen = "none" if result["chosen"] is None else f"`{result['chosen']}`"
    return [
        *_table(result), "", *_notes(result),
        f"Chosen: {chosen}. Not installed: {absent}.{lacking}",
    ]  # fmt: skip


def _table(result: dict[str, Any]) -> list[str]:
    """Every runtime, the fastest first."""
    ordered = sorted(result["ways"].items(), key=lambda item: item[1]["forward_ms"]["p50"])
    return table(_HEAD, [_cells(name, row) for name, row in ordered])


def _cells(name: str, row: dict[str, Any]) -> list[str]:
    ms, apart = row["forward_ms"], row.get("apart", {})
    is_known = "precision" in row or row["is_exact"]  # schema 1 put all under the roof of single precision
    share = row["share_of_ceiling"] if is_known else None
    return [
        f"`{name}`", f"{ms['p50']:.1f} ms", f"{ms['p95']:.1f} ms", f"{row['gflops']:.0f}",
        "-" if share is None else f"{100 * share:.0f} %", *(_number(row.get(key), "{:.2f}") for key in ("miou", "map")),
        *(_number(apart.get(key), how) for key, how in _APART.items()), "yes" if row["is_taken"] else "no",
    ]  # fmt: skip


def _number(value: float | None, how: str) -> str:
    return "-" if value is None else how.format(value)


def _notes(result: dict[str, Any]) -> list[str]:
    roofs = result["ceilings"]
    told = [
        f"{_number(roofs.get(f'conv_gflops{suffix}'), '{:.0f}')} in {precision}"
        for suffix, precision in (("", "single precision"), ("_bf16", "bf16"), ("_int8", "int8"))
    ]
    compared = result.get("compared_frames")
    turns = "turns" if result.get("schema", 0) > 2 else "run, at their best"  # and the ways at their median
    frames = f"{compared['rendered']} rendered and {compared['recorded']} recorded frames" if compared else "no frames"
    return [
        f"{result['gflop']:.2f} GFLOP a frame. Roofs, GFLOP/s of large convolutions in PyTorch in the same {turns}: "
        f"{', '.join(told)}. PyTorch's own mIoU {_number(result['reference_miou'], '{:.2f}')}, mAP "
        f"{_number(result.get('reference_map'), '{:.2f}')}, over {result['scored_frames']} frames; largest differences "
        f"from it over {frames}.",
    ]
