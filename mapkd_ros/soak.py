# SPDX-License-Identifier: Apache-2.0
"""A long run of the map node in one process: does memory grow, does latency drift?

python -m mapkd_ros.soak --frames 100000 --out soak.json            # a stub in place of the network
python -m mapkd_ros.soak --frames 5000 --network --out network.json # the shipped network

Six cameras and odometry are published in the same process, the next set when the last one's map is back; fusion is on.
"""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.executors import Executor
from rclpy.parameter import Parameter

from mapkd_core.geometry import apply_planar, inverse
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, Frame, LocalMap, MapElement
from mapkd_core.writing import write_json
from mapkd_ros.executor import make_executor
from mapkd_ros.host import host
from mapkd_ros.map_node import MapNode
from mapkd_ros.soak_drive import NETWORK_SIZE, STUB_SIZE, SoakDrive

_WINDOWS = 50
_WARM_UP = 0.2  # of the frames: allocators and caches fill
_ANSWER_S = 20.0
# Nothing may be lost on the way, whatever else the machine does: a soak is of memory and time, not of the transport.
SETTINGS = {
    "fusion.enabled": True,
    "qos.image_reliability": "reliable",
    "sync.wait_s": 5.0,
    "sync.silent_s": 60.0,
    "diagnostics.period_s": 10.0,
}
# A stub answers many times faster than a drive goes on: the watches look as often a minute as they do on a vehicle.
STUB_SETTINGS = {"watch.pictures_period_s": 2.0, "watch.mounts_period_s": 20.0}


class Road:
    """In place of the network: two lines of the odometry frame, and a probability of noise."""

    classes = CLASSES
    model_id = "soak@1"

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def predict(self, frame: Frame) -> LocalMap:
        grid, pose = BevGrid(), frame.odom_T_ego
        if pose is None:
            raise ValueError("the soak drives with odometry, and the node has none")
        x = pose[0, 3] + np.linspace(-30, 30, 31)
        lines = [np.stack([x, y + self._rng.normal(0, 0.1, len(x))], 1) for y in (-2.0, 2.0)]
        elements = tuple(MapElement("divider", apply_planar(inverse(pose), xy), False, 0.9) for xy in lines)
        probability = self._rng.integers(0, 255, (len(CLASSES), *grid.shape), np.uint8)
        return LocalMap(grid, elements, CLASSES, probability, np.ones(grid.shape, bool), frame.stamp_ns)


def run(frames: int, with_network: bool = False) -> dict[str, Any]:
    """JSON-ready. growth: of memory, last fifth over the fifth after warm-up, medians; drift: the same of latency.

    Raises ValueError below 100 frames, RuntimeError where the node answers nothing.
    """
    if frames < 100:
        raise ValueError(f"frames = {frames}; at least 100 make a trend")
    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    settings = SETTINGS if with_network else SETTINGS | STUB_SETTINGS
    overrides = [Parameter(name, value=value) for name, value in settings.items()]
    node = MapNode(None if with_network else lambda _: Road(), context=context, parameter_overrides=overrides)
    drive = SoakDrive(NETWORK_SIZE if with_network else STUB_SIZE, context=context)
    executor = make_executor(context)
    try:
        for each in (node, drive):
            executor.add_node(each)
        drive.meet(executor)
        return _measured(drive, executor, frames) | {
            "predictor": "network" if with_network else "stub", "machine": host(),
        }  # fmt: skip
    finally:
        node.close()
        executor.shutdown()
        rclpy.shutdown(context=context)


def _measured(drive: SoakDrive, executor: Executor, frames: int) -> dict[str, Any]:
    every, latencies_ms, lost, rows = max(frames // _WINDOWS, 1), [], 0, []
    for number in range(frames):
        latency_ms = drive.ask(number, executor, _ANSWER_S)
        lost += latency_ms is None
        latencies_ms += [latency_ms] if latency_ms is not None else []
        if (number + 1) % every == 0 and latencies_ms:
            gc.collect()
            p50, p95 = np.percentile(latencies_ms, (50, 95)).round(2)
            rows.append({"frame": number + 1, "rss_mb": resident_mb(), "p50_ms": float(p50), "p95_ms": float(p95)})
            latencies_ms = []
    if not rows:
        raise RuntimeError(f"none of {frames} sets gave a map")
    return {
        "frames": frames, "lost": lost, "rss_growth": trend([row["rss_mb"] for row in rows]),
        "latency_drift": trend([row["p50_ms"] for row in rows]), "windows": rows,
    }  # fmt: skip


def trend(values: Sequence[float]) -> float:
    """Median of the last fifth over that of the first fifth after warm-up, less one."""
    fifth = max(len(values) // 5, 1)
    start = int(_WARM_UP * len(values))
    return round(float(np.median(values[-fifth:]) / np.median(values[start : start + fifth]) - 1), 4)


def resident_mb() -> float:
    """Memory of this process that is in RAM, MB (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2000, metavar="N")
    parser.add_argument("--network", action="store_true", help="the shipped network instead of a stub")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result as JSON, too")
    options = parser.parse_args(arguments)
    result = run(options.frames, options.network)
    if options.out is not None:
        write_json(options.out, result)
    print(json.dumps({key: value for key, value in result.items() if key != "windows"}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
