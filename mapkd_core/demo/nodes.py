# SPDX-License-Identifier: Apache-2.0
"""Play a bag through the nodes, each a process of its own over DDS, and wait for what they leave."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from mapkd_core.demo.ros_environment import ROOT, private_domain, ros_environment

_START_S = 180.0  # loading the network; the first time it is exported for ONNX Runtime
_GRACE_S = 30.0


class NodesFailedError(RuntimeError):
    """A node process failed; the message ends with the last lines of the logs."""


def play(bag: Path, seconds: float, out: Path, weights: Path | None = None, arguments: Sequence[str] = ()) -> None:
    """Replay `bag` of `seconds` through map, evaluation and record node.

    Leaves `out`/metrics.json, the bag `out`/published and `out`/logs. Ends all processes before it returns or raises.
    """
    logs = out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    for old in logs.glob("*.log"):
        old.unlink()
    command = [sys.executable, "-m", "mapkd_ros.run", "replay", "--bag", str(bag), "--no-markers", "--logs", str(logs)]
    command += ["--report", str(out / "metrics.json"), "--record", str(out / "published")]
    command += ["--set", f"replay_node:wait_s={_START_S}"]
    command += [] if weights is None else ["--set", f"map_node:model.weights={weights.resolve()}"]
    environment = ros_environment() | private_domain()
    with (logs / "run.log").open("wb") as log:
        # A session of its own: Ctrl-C reaches the nodes once, through their group, in order.
        process = subprocess.Popen(
            [*command, *arguments],
            env=environment,
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _follow(process, logs, seconds)
    finally:
        _end(process)
    if process.returncode != 0:
        raise NodesFailedError(f"the nodes ended with exit code {process.returncode}{_last_lines(logs)}")


def _follow(process: subprocess.Popen, logs: Path, seconds: float) -> None:
    """A bar for the time until the replay starts, and one for the drive."""
    with tqdm(desc="start nodes", bar_format="{desc}: {elapsed}", delay=2) as bar:
        end_s = time.monotonic() + _START_S + _GRACE_S
        while process.poll() is None and not _is_playing(logs) and time.monotonic() < end_s:
            time.sleep(0.1)
            bar.refresh()
    with tqdm(
        total=round(seconds, 1), desc="replay", unit="s", delay=2, bar_format="{l_bar}{bar}| {n:.1f}/{total} s"
    ) as bar:
        start_s = time.monotonic()
        while process.poll() is None:
            time.sleep(0.1)
            bar.n = min(seconds, time.monotonic() - start_s)
            bar.refresh()
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
    """The end of each log that speaks of an error, of all logs where none does."""
    texts = {log: log.read_text(errors="replace") for log in sorted(logs.glob("*.log"))}
    guilty = {log: text for log, text in texts.items() if any(w in text for w in ("[FATAL]", "[ERROR]", "Traceback"))}
    shown = [
        f"{log}: {' | '.join(text.splitlines()[-count:])}" for log, text in (guilty or texts).items() if text.strip()
    ]
    return "; last lines: " + " || ".join(shown) if shown else f"; see {logs}"
