# SPDX-License-Identifier: Apache-2.0
"""How mapping several bags at once scales: `mapkd predict --bags` itself, with one process and with many.

The whole command is timed: its start, the loading of the network, reading, decoding, mapping and writing.
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

    options: of the command. Raises RuntimeError with its words where it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        bags = [Path(folder) / f"{number}.mcap" for number in range(2 * workers)]
        for bag in bags:
            write_drive(bag, cameras, jpegs, frames)
        seconds: dict[int, list[float]] = {1: [], workers: []}
        for round_ in range(rounds):
            for count, taken in seconds.items():
                taken.append(_seconds(bags, Path(folder) / f"maps-{round_}-{count}", count, frames, options))
        size = sum(bag.stat().st_size for bag in bags)
    total = len(bags) * frames
    one, many = (total / min(seconds[count]) for count in (1, workers))
    return {
        "bags": len(bags),
        "frames_a_bag": frames,
        "megabytes": round(size / 1e6, 1),
        "workers": workers,
        "seconds": {str(count): [round(s, 2) for s in taken] for count, taken in seconds.items()},
        "frames_per_s": {"one": round(one, 3), "all": round(many, 3)},
        "ratio": round(many / one, 3),
    }


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
    command = [sys.executable, "-m", "mapkd_core.cli", "predict", "--bags", *map(str, bags), "--out", str(out)]
    begin_s = time.perf_counter()
    done = subprocess.run([*command, "--workers", str(workers), "--json", *options], capture_output=True, text=True)
    taken_s = time.perf_counter() - begin_s
    if done.returncode:
        raise RuntimeError(f"mapkd predict --bags failed: {' '.join(done.stderr.split())[-500:]}")
    if (mapped := json.loads(done.stdout)["frames"]) != len(bags) * frames:
        raise RuntimeError(f"mapkd predict --bags mapped {mapped} of {len(bags) * frames} frames")
    return taken_s
