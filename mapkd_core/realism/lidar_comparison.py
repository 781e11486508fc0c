# SPDX-License-Identifier: Apache-2.0
"""A real sweep beside rendered ones: table, picture, and what a rendered sweep costs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.grid import BevGrid
from mapkd_core.realism import lidar_picture
from mapkd_core.realism.lidar_statistics import difference, lidar_statistics
from mapkd_core.realism.twin import Twin, dry_looks, mean, sweeps
from mapkd_core.worlds import drive
from mapkd_core.worlds.lidar.sensor import RINGS
from mapkd_core.worlds.lidar.world import lidar_of_world
from mapkd_core.worlds.truth import local_elements


def compare(twin: Twin, looks: int, out: Path) -> tuple[dict[str, Any], str]:
    """Summary and text; writes lidar.png into `out`. ValueError where the frame has no sweep."""
    points = twin.real.frame.points
    if points is None:
        raise ValueError(f"frame {twin.real.name} has no LiDAR; its frame.json needs the key 'lidar'")
    sensor_m = twin.real.ego_T_lidar[:3, 3]
    real = lidar_statistics(points, sensor_m, twin.real.elements)
    chosen = dry_looks(looks)
    rendered = sweeps(twin, chosen)
    truth = local_elements(twin.road_map, twin.map_T_ego, BevGrid())
    each = [lidar_statistics(sweep.points, sensor_m, truth) for sweep in rendered]
    ours = mean(each)
    # The most typical look is the one to draw.
    typical = int(np.argmin([difference(ours, one)["rings"] for one in each]))
    lidar_picture.draw(
        (points, rendered[typical].points), (real, each[typical]), ("real", "rendered"), out / "lidar.png"
    )
    summary = {
        "frame": twin.real.name,
        "looks": len(chosen),
        "rows": rows(real, ours),
        "difference": {name: round(value, 3) for name, value in difference(real, ours).items()},
        "sweep_cpu_ms": round(_cost_ms(twin), 1),
    }
    return summary, text(summary)


def text(summary: dict[str, Any]) -> str:
    """The table for a terminal."""
    lines = [f"{'':<36}{'real':>14}{'rendered':>14}"]
    for label, real, ours in summary["rows"]:
        lines.append(f"{label:<36}{real:>14}{ours:>14}")
    return "\n".join([*lines, f"a sweep costs {summary['sweep_cpu_ms']} ms of one core (median)"])


def rows(real: dict[str, Any], rendered: dict[str, Any]) -> list[tuple[str, ...]]:
    """Label, real, rendered: the statistics in groups, as a person compares them."""
    pair = (real, rendered)
    found: list[tuple[str, ...]] = [("points", *(f"{s['points']:.0f}" for s in pair))]
    found += [(label, *(f"{100 * s[key]:.1f} %" for s in pair)) for label, key in _SHARES]
    for low in range(0, RINGS, 8):
        high = low + 8
        found.append(
            (f"points a ring, rings {low}-{high - 1}", *(f"{np.mean(s['per_ring'][low:high]):.0f}" for s in pair))
        )
    for label, first, last in _RANGES:
        found.append((f"share {label}", *(f"{100 * sum(s['range_shares'][first:last]):.1f} %" for s in pair)))
    for label, first, last in _HEIGHTS:
        found.append((f"share {label}", *(f"{100 * sum(s['height_shares'][first:last]):.1f} %" for s in pair)))
    found.append(("range noise on ground", *(f"{1000 * s['roughness_m']:.1f} mm" for s in pair)))
    for label, key in _INTENSITIES:
        found.append((label, *("{1:.0f} {2:.0f} {3:.0f} {4:.0f}".format(*s[key]) if s[key] else "-" for s in pair)))
    return found


_SHARES = (("rays that answer", "answered"), ("share of ground", "ground"))
# Label, first and last bin of RANGE_EDGES_M and of HEIGHT_EDGES_M.
_RANGES = (("under 10 m", 0, 2), ("10-20 m", 2, 4), ("20-40 m", 4, 6), ("beyond 40 m", 6, 9))
_HEIGHTS = (("below the ground", 0, 1), ("0.15-1 m high", 2, 4), ("1-3 m high", 4, 6), ("higher", 6, 9))
_INTENSITIES = (
    ("intensity, all (p25 p50 p75 p95)", "intensity"),
    ("intensity on divider lines", "intensity_on_lines"),
    ("intensity beside them", "intensity_beside_lines"),
)


def _cost_ms(twin: Twin, repeats: int = 9) -> float:
    """Median processor time of one sweep while driving."""
    (seed, look), roads = dry_looks(1)[0], twin.road_map
    lidar = lidar_of_world(roads, seed, look)
    times = []
    for i in range(repeats):
        at_s = float(roads.ego[0, 0]) + (i + 1) / repeats * drive.duration(roads)
        start = time.process_time()
        lidar.sweep(lambda t: drive.pose_at(roads, t), lambda t: drive.boxes_at(roads, t), at_s)
        times.append(time.process_time() - start)
    return 1e3 * float(np.median(times))
