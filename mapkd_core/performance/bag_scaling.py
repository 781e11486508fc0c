# SPDX-License-Identifier: Apache-2.0
"""How mapping several bags at once scales: `mapkd predict --bags` itself, with one process and with many.

The whole command is timed: its start, the loading of the network, reading, decoding, mapping and writing. As bags of a
fleet are longer than these, it is timed with a single frame of each bag, too: the difference is what lasts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mapkd_core.bags.write import BagWriter
from mapkd_core.geometry import planar
from mapkd_core.types import Camera, Frame

MOST_WORKERS = 8  # twice as many bags are written, of a megabyte a frame
RATE_HZ, STAGGER_NS = 12.0, 5_000_000  # of the drives; from one camera's exposure to the next one's
SPEED_M_S, ACCELERATION_M_S2 = 8.0, 0.3
ROUNDS = 2  # in turns; the better of each counts, as others on the machine only ever slow it down
_START_NS = 10**18


def run(
    cameras: Sequence[Camera],
    jpegs: Sequence[bytes],
    frames: int,
    workers: int,
    options: Sequence[str] = (),
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    """Twice as many bags as workers, of `frames` frames each, mapped by one process and by `workers`; JSON-ready.

    No more than MOST_WORKERS are tried.

    frames: at least 2. options: of the command. Raises RuntimeError with its words where it fails.
    """
    workers = min(workers, MOST_WORKERS)
    frames, taken = max(2, frames), {(count, length): [] for length in (1, frames) for count in (1, workers)}
    with tempfile.TemporaryDirectory() as folder:
        bags = [Path(folder) / f"{number}.mcap" for number in range(2 * workers)]
        for bag in bags:
            write_drive(bag, cameras, jpegs, frames)
        for round_ in range(rounds):
            for (count, length), seconds in taken.items():
                seconds.append(_seconds(bags, Path(folder) / f"{round_}-{count}-{length}", count, length, options))
        size = sum(bag.stat().st_size for bag in bags)
    best = {case: min(seconds) for case, seconds in taken.items()}
    seconds_of = {f"{count} x {length}": [round(s, 2) for s in seconds] for (count, length), seconds in taken.items()}
    whole = {count: len(bags) * frames / best[count, frames] for count in (1, workers)}
    lasting = {
        count: len(bags) * (frames - 1) / max(1e-9, best[count, frames] - best[count, 1]) for count in (1, workers)
    }
    return {
        "bags": len(bags),
        "frames_a_bag": frames,
        "megabytes": round(size / 1e6, 1),
        "workers": workers,
        "seconds": seconds_of,
        "whole": _compared(whole[1], whole[workers]),
        "without_start": _compared(lasting[1], lasting[workers]),
    }


def _compared(one: float, many: float) -> dict[str, float]:
    """Frames a second, and how many times as many the many processes make."""
    return {"one_per_s": round(one, 3), "all_per_s": round(many, 3), "ratio": round(many / one, 3)}


def write_drive(bag: Path, cameras: Sequence[Camera], jpegs: Sequence[bytes], frames: int) -> None:
    """The same pictures again and again, from a vehicle that goes straight on, faster and faster.

    Its cameras expose one after the other, so that none is ever quite where it was in the frame before.
    """
    rig = [replace(camera, image=None, stamp_ns=0) for camera in cameras]
    encoded = {camera.name: data for camera, data in zip(rig, jpegs, strict=True)}
    with BagWriter(bag, rig=rig) as writer:
        for number in range(frames):
            stamp_ns = round(number * 1e9 / RATE_HZ)
            seen = tuple(_placed(camera, stamp_ns, stamp_ns + i * STAGGER_NS) for i, camera in enumerate(rig))
            pose = planar(_way_m(stamp_ns), 0.0, 0.0)
            writer.add(Frame(seen, _START_NS + stamp_ns, odom_T_ego=pose), encoded=encoded)


def _placed(camera: Camera, frame_ns: int, stamp_ns: int) -> Camera:
    """The camera where it was at `stamp_ns`, seen from where the vehicle was at `frame_ns`."""
    moved = planar(_way_m(stamp_ns) - _way_m(frame_ns), 0.0, 0.0)
    return replace(camera, stamp_ns=_START_NS + stamp_ns, ego_T_camera=moved @ camera.ego_T_camera)


def _way_m(stamp_ns: int) -> float:
    seconds = 1e-9 * stamp_ns
    return SPEED_M_S * seconds + 0.5 * ACCELERATION_M_S2 * seconds**2


def _seconds(bags: Sequence[Path], out: Path, workers: int, frames: int, options: Sequence[str]) -> float:
    """Of the command from its start to its end; `frames` of each bag."""
    command = [sys.executable, "-m", "mapkd_core.cli", "predict", "--bags", *map(str, bags), "--out", str(out)]
    command += ["--workers", str(workers), "--frames", str(frames), "--json", *options]
    begin_s = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    taken_s = time.perf_counter() - begin_s
    if done.returncode:
        raise RuntimeError(f"mapkd predict --bags failed: {' '.join(done.stderr.split())[-500:]}")
    if (mapped := json.loads(done.stdout)["frames"]) != len(bags) * frames:
        raise RuntimeError(f"mapkd predict --bags mapped {mapped} of {len(bags) * frames} frames")
    return taken_s
