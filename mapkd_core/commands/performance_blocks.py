# SPDX-License-Identifier: Apache-2.0
"""Results of `mapkd bench budget`, `ways`, `scaling` and `fleet` as Markdown, for docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from mapkd_core.bench import executors, reduced_table, vectorising
from mapkd_core.bench.overhead import network
from mapkd_core.evaluation.report import table
from mapkd_core.performance import device_table, ways_table


def budget(result: dict[str, Any], image: str = "images/budget.svg") -> list[str]:
    """Stages from JPEG to map, median and 95th percentile, and the picture of them where there is one."""
    stages = list(next(iter(result["stages_ms"].values())))
    rows = [
        [name, *[f"{times[s]['p50']:.1f}" for s in stages], f"{times['total']['p95']:.1f}"]
        for name, times in result["stages_ms"].items()
    ]
    least = list(result["floors_ms"].items())
    rows += [[f"floor of {least[i][0]}", *[f"{least[i][1][s]:.1f}" for s in stages], "-"] for i in (0, -1)]
    sizes = ", ".join(f"{name}: {count / 1000:.0f} kB" for name, count in result["jpeg_bytes"].items())
    lines = table(["JPEGs, ms a frame", *stages, "total, p95"], rows)
    lines += ["", f"{sizes} a picture. {where(result)}"]
    lines += ["", f"![The budget of a frame]({image})"] if image else []
    if "node_stages_ms" in result:
        node = [
            [name, f"{ms.get('p50', 0):.1f}", f"{ms.get('p95', 0):.1f}"]
            for name, ms in result["node_stages_ms"].items()
        ]
        lines += ["", *table(["in the node, ms", "p50", "p95"], node), "", _overhead(result)]
    return lines


def _overhead(result: dict[str, Any]) -> str:
    """How much longer a frame takes in the node than in the network, by the medians, and how much of it is waiting."""
    overhead, stages = result["node_overhead"], result["node_stages_ms"]
    if overhead is None:
        return "Over the network's time there: -."
    waiting, network_ms = stages.get("decode", {}).get("p50"), network(stages)
    share = "" if waiting is None or not network_ms else f" ({100 * waiting / network_ms:.0f} % waiting for pictures)"
    told = f"The node's other work, over the network's time there: {100 * overhead:.0f} %{share}."
    if "node_over_bare" in result:
        told += (
            f" All of its work, over the network alone on an idle machine ({result['bare_network_ms']:.1f} ms): "
            f"{100 * result['node_over_bare']:.0f} % more."
        )
    return told


def parts(result: dict[str, Any]) -> list[str]:
    """Parts of the network beside their floors, and the roofline."""
    rows = [
        [
            name, f"{row['gflop']:.3f}", f"{row['moved_mb']:.1f}", f"{row['p50']:.1f}", f"{row['floor_ms']:.1f}",
            f"{row['gflops']:.0f}",
        ]
        for name, row in result["parts"].items()
    ]  # fmt: skip
    roofs, ran_in = result["ceilings"], result.get("parts_in", "onnx")
    return [
        *table(["part", "GFLOP", "MB", "ms, p50", "floor, ms", "GFLOP/s"], rows),
        "",
        f"In `{ran_in}`, roof {result.get('roof_gflops', roofs['conv_gflops']):.0f} GFLOP/s. Ceilings of this run: "
        f"{roofs['conv_gflops']:.0f} GFLOP/s in large convolutions in single precision, "
        f"{roofs['own_conv_gflops']:.0f} in the network's own one by one, {roofs['bandwidth_gbs']:.0f} GB/s. "
        f"On a GPU: {result['gpu']}.",
        "",
        "![Parts of the network under the roofs of the machine](images/roofline.svg)",
    ]


def ways(result: dict[str, Any]) -> list[str]:
    """Every runtime beside PyTorch, the fastest first."""
    *lines, last = ways_table.markdown(result)
    return [*lines, f"{last} {where(result)}"]


def scaling(result: dict[str, Any]) -> list[str]:
    """A row for each case, and the picture."""
    from mapkd_core.performance.scaling_plot import markdown

    told = f"In `{result.get('runtime', 'onnx')}` but for the batches. {where(result)}"
    return [*markdown(result), "", told, "", "![Latency and throughput against operations](images/scaling.svg)"]


def fleet(result: dict[str, Any]) -> list[str]:
    """What mapping 1,000 km of logs again takes, by how often a frame is mapped and how fast the fleet drives."""
    rows = [
        [
            f"{row['sampling_hz']:g} Hz", f"{row['speed_kmh']:g} km/h", f"{row['frames']:,}",
            f"{row['core_hours']:,.1f}", f"{row['cost']:,.2f}", f"{row['cores_per_vehicle']:.2f}",
        ]
        for row in result["rows"]
    ]  # fmt: skip
    width, height = result["picture"]
    weight = f" ({result['jpeg_bytes'] / 1000:.0f} kB)" if "jpeg_bytes" in result else ""
    planned = "every frame planned anew" if result.get("is_planned_anew") else "frames planned anew: -"
    return [
        *table(["sampled at", "average speed", "frames", "core hours", "cost", "cores a vehicle, live"], rows),
        "",
        f"Measured: {result['frames_per_s_per_core']:g} frames a second and core, {result['machine']['threads']} "
        f"processes at once, {result['cameras']} JPEGs of {width} x {height}{weight} to map, {planned}. Assumed: a "
        f"core hour costs {result['price_per_core_hour']:g}; reading and sending the logs costs nothing. "
        f"{where(result)}",
        "",
        *_several_bags(result.get("several_bags")),
    ]


def _several_bags(found: dict[str, Any] | None) -> list[str]:
    """What `mapkd predict --bags` does with one process and with many."""
    columns = [
        "`mapkd predict --bags`, reading included",
        "frames a second",
        "of one process",
        "without its start",
        "of one",
    ]
    if not found:
        return table(columns, [["one process", *"----"], ["one a core", *"----"]])
    parts = found["whole"], found["without_start"]
    rows = [
        ["one process", *(text for part in parts for text in (f"{part['one_per_s']:.2f}", "1.00"))],
        [
            f"one a core: {found['workers']}",
            *(text for part in parts for text in (f"{part['all_per_s']:.2f}", f"{part['ratio']:.2f}")),
        ],
    ]
    what = f"{found['bags']} bags of {found['frames_a_bag']} frames, {found['megabytes']:.0f} MB"
    return [
        *table(columns, rows),
        "",
        f"{what}; without its start: less the time for one frame of each. Better of two.",
    ]


def where(result: dict[str, Any]) -> str:
    """The machine and whether it was busy."""
    machine = result["machine"]
    busy = max(machine["load_before"], machine["load_after"]) > machine["threads"] + 0.5
    note = " Other processes were running: upper bounds." if busy else ""
    return f"{machine['processor']}, {machine['threads']} threads.{note}"


BLOCKS: dict[str, tuple[str, Callable[[dict[str, Any]], list[str]]]] = {
    "budget": ("docs/results/budget.json", budget),
    "budget-avx2": ("docs/results/budget_avx2.json", partial(budget, image="")),
    "parts": ("docs/results/budget.json", parts),
    "gpu": ("docs/results/gpu.json", device_table.markdown),
    "executors": ("docs/results/executors.json", executors.markdown),
    "ways": ("docs/results/ways.json", ways),
    "ways-avx2": ("docs/results/ways_avx2.json", ways),
    "scaling": ("docs/results/scaling.json", scaling),
    "fleet": ("docs/results/fleet.json", fleet),
    "reduced": ("docs/results/reduced.json", reduced_table.markdown),
    "vectorising": ("docs/results/vectorising.json", vectorising.markdown),
}
