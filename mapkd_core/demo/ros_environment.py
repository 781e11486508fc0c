# SPDX-License-Identifier: Apache-2.0
"""Where ROS 2 is, for a command that starts nodes but knows no ROS itself."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_NEEDED = ("rclpy", "mapkd")


def ros_environment() -> dict[str, str]:
    """Environment variables for node processes: this process's own where ROS is sourced, else those of .ros/setup.bash.

    Raises RuntimeError where there is neither.
    """
    sources = f"{ROOT}:" if (ROOT / "mapkd_ros").is_dir() else ""
    if all(importlib.util.find_spec(name) for name in _NEEDED):
        return dict(os.environ) | {"PYTHONPATH": f"{sources}{os.environ.get('PYTHONPATH', '')}".rstrip(":")}
    setup = ROOT / ".ros" / "setup.bash"
    if not setup.is_file():
        absent = ", ".join(name for name in _NEEDED if not importlib.util.find_spec(name))
        raise RuntimeError(
            f"no ROS 2: {absent} cannot be imported and {setup} is not there; run `make setup` in the checkout, "
            "or source a workspace that has mapkd"
        )
    sourced = subprocess.run(["bash", "-c", f"source '{setup}' && env -0"], capture_output=True, check=False)
    if sourced.returncode:
        raise RuntimeError(
            f"{setup} failed: {sourced.stderr.decode(errors='replace').strip()[-300:]}; run `make setup`"
        )
    entries = (entry.partition("=") for entry in sourced.stdout.decode(errors="replace").split("\0"))
    return {name: value for name, separator, value in entries if separator}


def private_domain() -> dict[str, str]:
    """A DDS domain that nobody on this machine uses, closed to the network."""
    domain = next((d for d in _candidates() if _is_free(7400 + 250 * d)), 99)
    return {
        "ROS_DOMAIN_ID": str(domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",  # since Iron
        "ROS_LOCALHOST_ONLY": "1" if os.environ.get("ROS_DISTRO") == "humble" else "0",
    }


def _candidates() -> list[int]:
    """Domains 1..100 (beyond that their ports meet the ephemeral ones), not always in the same order."""
    return [1 + (os.getpid() + i) % 100 for i in range(100)]


def _is_free(port: int) -> bool:
    """Nobody listens on the discovery port of a domain."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
