# SPDX-License-Identifier: Apache-2.0
"""Our synchroniser beside message_filters' ApproximateTimeSynchronizer on simulated streams of six cameras.

python -m mapkd_ros.sync_bench --out docs/results/dependability/sync.json

Pure Python, no time passes but simulated time: the same numbers on every machine. Where no ROS 2 distribution is
sourced, --message-filters names a folder with the released package (src of github.com/ros2/message_filters).
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mapkd_core.writing import write_json
from mapkd_ros.sync_policy import SyncPolicy
from mapkd_ros.sync_streams import ANCHOR, CAMERAS, MS, Event, Streams, played
from mapkd_ros.synchroniser import CameraSynchroniser

SLOPS_MS = (50, 100)  # ours is 50 either way of the anchor, theirs is from the first to the last
_QUEUE = 10
_TURNS = 600
SCENARIOS = {
    "all in time": Streams(_TURNS),
    "loss 5 %": Streams(_TURNS, loss=0.05, loses_anchor=True),
    "loss 20 %": Streams(_TURNS, loss=0.20, loses_anchor=True),
    "phases over 60 ms": Streams(_TURNS, spread_ms=60),
    "phases over 60 ms, loss 5 %": Streams(_TURNS, spread_ms=60, loss=0.05, loses_anchor=True),
    "phases over 60 ms, loss 20 %": Streams(_TURNS, spread_ms=60, loss=0.20, loses_anchor=True),
    "jitter of 10 ms either way": Streams(_TURNS, jitter_ms=10),
    "a side camera dies": Streams(_TURNS, dead={"BACK": _TURNS // 2}),
    "the anchor dies": Streams(_TURNS, dead={ANCHOR: _TURNS // 2}),
    "five at 10 Hz, the anchor at 12": Streams(_TURNS, rates_hz=dict.fromkeys(CAMERAS[1:], 10.0)),
    "the anchor at 10 Hz, five at 12": Streams(_TURNS, rates_hz={ANCHOR: 10.0}),
}
HEAD = ["six cameras at 12 Hz", "maps", "masked a map", "with reuse", "waited p50, p95",
        *[f"approximate, {slop} ms" for slop in SLOPS_MS], f"waited at {SLOPS_MS[0]} ms"]  # fmt: skip


def ours(streams: Streams, events: Sequence[Event], missing: str) -> dict[str, float]:
    """JSON-ready: share of outputs, cameras masked and stood in for in each, and how long they waited, ms."""
    synchroniser = CameraSynchroniser(SyncPolicy(CAMERAS, ANCHOR, missing=missing))
    left = list(played(synchroniser, events))
    states = Counter(state for _, frame_set in left for state in frame_set.states.values())
    anchors = {(s.anchor, s.stamp_ns): now_ns for now_ns, s in left}
    return _told(streams, events, anchors) | {
        "masked": round((states["missing"] + states["too_far"]) / max(len(left), 1), 3),
        "reused": round(states["reused"] / max(len(left), 1), 3),
    }


def approximate(package: ModuleType, streams: Streams, events: Sequence[Event], slop_ms: float) -> dict[str, float]:
    """The same of the package's ApproximateTimeSynchronizer."""
    from builtin_interfaces.msg import Time
    from std_msgs.msg import Header

    class Message:
        def __init__(self, stamp_ns: int) -> None:
            self.header = Header(stamp=Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9))
            self.stamp_ns = stamp_ns

    filters = {name: package.SimpleFilter() for name in CAMERAS}
    left: dict[tuple[str, int], int] = {}
    clock_ns = [0]
    synchroniser = package.ApproximateTimeSynchronizer(list(filters.values()), _QUEUE, slop_ms / 1e3)
    synchroniser.registerCallback(lambda *found: left.setdefault((ANCHOR, found[0].stamp_ns), clock_ns[0]))
    for clock_ns[0], camera, stamp_ns in events:
        filters[camera].signalMessage(Message(stamp_ns))
    return _told(streams, events, left)


def _told(streams: Streams, events: Sequence[Event], left: dict[tuple[str, int], int]) -> dict[str, float]:
    """left: (anchor, stamp) of an output -> when it left. Of a dead anchor those turns count that it would have had."""
    arrived = {(camera, stamp_ns): at_ns for at_ns, camera, stamp_ns in events}
    turns = sum(camera == ANCHOR for camera, _ in arrived) + max(streams.turns - streams.dead.get(ANCHOR, 10**9), 0)
    waits = [(at_ns - arrived[anchor]) / MS for anchor, at_ns in left.items()]
    p50, p95 = np.percentile(waits, (50, 95)).round(1) if waits else (0.0, 0.0)
    return {"share": round(len(left) / turns, 4), "p50_ms": float(p50), "p95_ms": float(p95)}


def run(package: ModuleType | None, scenarios: dict[str, Streams] | None = None) -> dict[str, Any]:
    """head, rows and note for docs/dependability.md, and every figure under `scenarios`. package: message_filters."""
    found = {}
    for name, streams in (scenarios or SCENARIOS).items():
        events = streams.events()
        found[name] = {missing: ours(streams, events, missing) for missing in ("mask", "reuse")}
        if package is not None:
            found[name] |= {f"approximate_{slop}": approximate(package, streams, events, slop) for slop in SLOPS_MS}
    seconds = next(iter((scenarios or SCENARIOS).values())).turns / 12
    note = (
        f"Maps: of the anchor's frames that arrived (turns, where it is dead), {seconds:g} s of each stream. Masked "
        "and, with `sync.missing: reuse`, masked + stood in for by an older frame: cameras a map. Waited: from "
        "the anchor's arrival to the set; phases are waited for by everyone. Approximate: message_filters' "
        f"ApproximateTimeSynchronizer, queue of {_QUEUE}, slop as said, without masks. Simulated: no machine matters."
    )
    rows = [[name, *_row(result)] for name, result in found.items()]
    return {"head": HEAD, "rows": rows, "note": note, "scenarios": found}


def _row(result: dict[str, dict[str, float]]) -> list[str]:
    mask, reuse = result["mask"], result["reuse"]
    waited = lambda one: f"{one['p50_ms']:.0f}, {one['p95_ms']:.0f} ms"  # noqa: E731
    others = [result.get(f"approximate_{slop}") for slop in SLOPS_MS]
    return [
        f"{100 * mask['share']:.1f} %", f"{mask['masked']:.2f}", f"{reuse['masked']:.2f} + {reuse['reused']:.2f}",
        waited(mask), *["-" if one is None else f"{100 * one['share']:.1f} %" for one in others],
        "-" if others[0] is None or not others[0]["share"] else waited(others[0]),
    ]  # fmt: skip


def released(folder: Path | None) -> ModuleType | None:
    """The message_filters of `folder`, or what is installed; None where that is mapkd's stand-in, without it."""
    if folder is not None:
        if not (folder / "message_filters" / "__init__.py").is_file():
            raise FileNotFoundError(f"{folder}/message_filters/__init__.py is not there; give the package's src folder")
        sys.modules.pop("message_filters", None)
        sys.path.insert(0, str(folder))
    package = importlib.import_module("message_filters")
    return package if hasattr(package, "ApproximateTimeSynchronizer") else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result as JSON, too")
    parser.add_argument("--message-filters", type=Path, metavar="DIR", help="folder that holds message_filters/")
    options = parser.parse_args(arguments)
    result = run(released(options.message_filters))
    if options.out is not None:
        write_json(options.out, result)
    print(json.dumps(result["scenarios"]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
