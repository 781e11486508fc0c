# SPDX-License-Identifier: Apache-2.0
"""The result of `device_budget` as text, and as Markdown for docs/performance.md."""

from __future__ import annotations

from typing import Any

from mapkd_core.evaluation.report import table

APART = {"probability": "{:.0f}", "scores": "{:.1e}", "points": "{:.1e}"}  # how far from PyTorch at most


def markdown(result: dict[str, Any]) -> list[str]:
    """The network and its copies; JPEG to polylines; what each precision loses; the ceilings of that run."""
    rows, roofs, machine = result["ways"], result["ceilings"], result["machine"]
    head = ["forward pass, ms", "p50", "p95", "p99", "floor", "of the ceiling", "up", "down", "MiB", "waits"]
    steps = [
        [
            f"`{name}`", *_three(row["forward_ms"]), f"{row['floor_ms']:.3f}", f"{100 * row['share_of_ceiling']:.0f} %",
            f"{row['up_ms']['p50']:.3f}", f"{row['down_ms']['p50']:.3f}", _memory(row),
            _number(row["waits"], "1 + {}"),
        ]
        for name, row in rows.items()
    ]  # fmt: skip
    first = next(iter(rows.values()))
    stages = list(next(iter(first["to_map_ms"].values())))
    paths = [
        [f"`{name}`, {source}", *[f"{ms[s]['p50']:.2f}" for s in stages], f"{ms['total']['p95']:.2f}",
         f"{ms['total']['p99']:.2f}"]
        for name, row in rows.items() for source, ms in row["to_map_ms"].items()
    ]  # fmt: skip
    losses = [
        [f"`{name}`", *[_number(row[f"{key}_lost"], "{:.2f}") for key in ("miou", "map")],
         *[_number(row["apart"][key], how) for key, how in APART.items()]]
        for name, row in rows.items()
    ]  # fmt: skip
    sizes = ", ".join(f"{name}: {count / 1000:.0f} kB" for name, count in result["jpeg_bytes"].items())
    speeds = ", ".join(f"{speed / 1000:.1f} in {name}" for name, speed in roofs["conv_gflops"].items())
    busy = max(machine["load_before"], machine["load_after"]) > machine["threads"] + 0.5
    return [
        *table(head, steps),
        "",
        *table(["JPEGs to polylines, ms", *stages, "total, p95", "total, p99"], paths),
        "",
        *table(["beside PyTorch on the CPU", "mIoU lost", "mAP lost", *APART], losses),
        "",
        f"{first['forward_ms']['repeats']} frames of {result['cameras']} JPEGs, {sizes} a picture, decoded on the "
        f"{first['decodes_on']}. {first['gflop']:.2f} GFLOP, {first['up_mb']:.1f} MB up, {first['down_mb']:.1f} MB "
        f"down. Ceilings of this run: TFLOP/s of large convolutions {speeds}; {roofs['bandwidth_gbs']:.0f} GB/s on the "
        f"device, {roofs['up_gbs']:.0f} up, {roofs['down_gbs']:.0f} down. Scored: {result['scored_frames']} rendered "
        f"frames; differences are the largest, of 255 in probability. {machine['gpu'] or 'CPU tensors, no GPU'}, "
        f"CUDA {machine.get('cuda')}, PyTorch {machine['torch']}, {machine['processor']}."
        + (" Other processes were running: upper bounds." if busy else ""),
    ]


def _number(value: float | None, how: str) -> str:
    """A dash for what was not measured, or is not a number: half precision may overflow."""
    return "-" if value is None else how.format(value)


def _three(times: dict[str, float]) -> list[str]:
    return [f"{times[name]:.3f}" for name in ("p50", "p95", "p99")]


def _memory(row: dict[str, Any]) -> str:
    """Peak of what PyTorch reserves, or what libraries take with it, where that is more."""
    found = row["memory_mib"]
    return "-" if found is None else f"{max(found['reserved'], found['taken']):.0f}"
