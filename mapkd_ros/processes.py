# SPDX-License-Identifier: Apache-2.0
"""Nodes as processes of their own, for machines without `launch`. No ROS import."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_GRACE_S = 20.0  # an evaluation scores its last frames before it ends


@dataclass(frozen=True)
class NodeProcess:
    """module: of mapkd_ros, with the node's name. parameters go before those of the files."""

    module: str
    parameter_files: Sequence[Path] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def command(self, log_level: str = "info") -> list[str]:
        """Values are written as JSON, which YAML reads with its type: a path "61" stays text."""
        arguments = [sys.executable, "-m", f"mapkd_ros.{self.module}", "--ros-args", "--log-level", log_level]
        for path in self.parameter_files:
            arguments += ["--params-file", str(path)]
        for name, value in self.parameters.items():
            arguments += ["-p", f"{self.module}:{name}:={json.dumps(value)}"]
        return arguments


class NodeGroup:
    """Starts nodes; as a context manager it ends whatever still runs, by SIGINT first.

    logs: folder for one log file per node; None leaves their output on the terminal.
    """

    def __init__(
        self,
        nodes: Sequence[NodeProcess],
        *,
        environment: Mapping[str, str] | None = None,
        logs: Path | None = None,
        log_level: str = "info",
    ) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        full = {**os.environ, **(environment or {})}
        try:
            for node in nodes:
                self._start(node, log_level, full, logs)
        except BaseException:  # a Ctrl-C, too: what was started so far must not stay
            self.stop(*self._running)
            raise

    def __enter__(self) -> NodeGroup:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(*self._running)

    def wait(self, module: str | None = None) -> dict[str, int]:
        """Until `module` ends (None = never) or any node fails; exit codes of those that ended."""
        while True:
            codes = {name: code for name, process in self._running.items() if (code := process.poll()) is not None}
            if module in codes or any(codes.values()) or len(codes) == len(self._running):
                return codes
            time.sleep(0.05)

    def _start(self, node: NodeProcess, log_level: str, environment: Mapping[str, str], logs: Path | None) -> None:
        output = None if logs is None else (logs / f"{node.module}.log").open("wb")
        # Own process group: a Ctrl-C reaches the nodes through `stop`, in order, once.
        self._running[node.module] = subprocess.Popen(
            node.command(log_level),
            env=environment,
            stdout=output,
            stderr=output and subprocess.STDOUT,
            start_new_session=True,
        )
        if output is not None:
            output.close()

    def stop(self, *modules: str) -> dict[str, int]:
        """SIGINT, after a grace period SIGKILL; exit codes."""
        chosen = {name: self._running[name] for name in modules if name in self._running}
        for process in chosen.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        end_s = time.monotonic() + _GRACE_S
        for process in chosen.values():
            try:
                process.wait(max(0.1, end_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        return {name: process.returncode for name, process in chosen.items()}
