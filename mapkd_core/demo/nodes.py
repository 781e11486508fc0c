# SPDX-License-Identifier: Apache-2.0
"""Play a bag through the nodes, each a process of its own over DDS, and wait for what they leave."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mapkd_core.demo.ros_environment import private_domain, ros_environment

_START_S = 180.0  # loading the network; the first time it is exported for ONNX Runtime
_GRACE_S = 30.0
WANTED_SHARE = 0.99  # of the frames must become maps
_ERRORS, _CRASH = ("[FATAL]", "[ERROR]", "Traceback"), "Fatal Python error"
_HEADROOM, _SLOWEST = 0.85, 0.2  # of the rate that a first replay held


class NodesFailedError(RuntimeError):
    """A node process failed; the message ends with the last lines of the logs."""


def play_all(bag: Path, seconds: float, out: Path, weights: Path | None = None) -> dict[str, Any]:
    """Replay at the cameras' own rate; where the machine cannot hold it, once more at the rate it can.

    Returns the metrics, with `replay_speed` (1 = real time) and, after a second replay, `at_full_speed`: what the first
    one gave. Everything else as `play`.
    """
    metrics = play(bag, seconds, out, weights)
    share = metrics["frames_out_over_in"] or 0.0
    if share < WANTED_SHARE:
        kept = ("frames_in", "frames_out", "frames_out_over_in", "rate_hz", "latency_ms")
        first = {name: metrics[name] for name in kept}
        speed = round(min(0.9, max(_SLOWEST, _HEADROOM * share)), 2)
        metrics = play(bag, seconds, out, weights, speed) | {"at_full_speed": first}
    (out / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")
    return metrics


def play(
    bag: Path,
    seconds: float,
    out: Path,
    weights: Path | None = None,
    speed: float = 1.0,
    is_recorded: bool = True,
) -> dict[str, Any]:
    """Replay `bag` of `seconds` through map, evaluation and record node, and return the metrics.

    is_recorded: false leaves the record node out. Leaves `out`/metrics.json, the bag `out`/published and `out`/logs.
    Ends all processes before it returns or raises.
    """
    out, bag = out.resolve(), bag.resolve()
    logs = out / "logs"
    shutil.rmtree(out / "published", ignore_errors=True)
    logs.mkdir(parents=True, exist_ok=True)
    for old in logs.glob("*.log"):
        old.unlink()
    command = [sys.executable, "-m", "mapkd_ros.run", "replay", "--bag", str(bag), "--no-markers", "--logs", str(logs)]
    command += ["--report", str(out / "metrics.json")]
    command += ["--record", str(out / "published")] if is_recorded else []
    command += ["--rate", str(speed), "--set", f"replay_node:wait_s={_START_S}"]
    command += [] if weights is None else ["--set", f"map_node:model.weights={weights.resolve()}"]
    environment = ros_environment() | private_domain()
    with (logs / "run.log").open("wb") as log:
        # A session of its own: Ctrl-C reaches the nodes once, through their group, in order.
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _follow(process, logs, seconds / speed)
    finally:
        _end(process)
    if process.returncode != 0:
        raise NodesFailedError(f"the nodes ended with exit code {process.returncode}{_last_lines(logs)}")
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return metrics | {"replay_speed": speed}


def _follow(process: subprocess.Popen, logs: Path, seconds: float) -> None:
    """A bar for the time until the replay starts, and one for the drive."""
    with tqdm(desc="start nodes", bar_format="{desc}: {elapsed}", delay=2) as bar:
        end_s = time.monotonic() + _START_S + _GRACE_S
        while process.poll() is None and not _is_playing(logs) and time.monotonic() < end_s:
            time.sleep(0.1)
            bar.update(0.1)
    with tqdm(
        total=round(seconds, 1), desc="replay", unit="s", delay=2, bar_format="{l_bar}{bar}| {n:.1f}/{total} s"
    ) as bar:
        start_s = time.monotonic()
        while process.poll() is None:
            time.sleep(0.1)
            bar.update(min(seconds, time.monotonic() - start_s) - bar.n)
            if time.monotonic() - start_s > 3 * seconds + 120:
                raise NodesFailedError(f"the replay of {seconds:.0f} s does not end{_last_lines(logs)}")


def _is_playing(logs: Path) -> bool:
    log = logs / "replay_node.log"
    return log.is_file() and b"playing " in log.read_bytes()


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_lines(logs: Path, count: int = 4) -> str:
    """The end of each log that speaks of an error, of all logs where none does; of a crash its beginning."""
    texts = {log: log.read_text(errors="replace") for log in sorted(logs.glob("*.log"))}
    guilty = {log: text for log, text in texts.items() if any(w in text for w in (*_ERRORS, _CRASH))}
    shown = [f"{log}: {' | '.join(_told(text, count))}" for log, text in (guilty or texts).items() if text.strip()]
    return "; last lines: " + " || ".join(shown) if shown else f"; see {logs}"


def _told(text: str, count: int) -> list[str]:
    """A crash is told by the interpreter: what it was and where come first, all libraries that are loaded last."""
    if _CRASH in text:
        return text[text.index(_CRASH) :].splitlines()[: 3 * count]
    return text.splitlines()[-count:]
