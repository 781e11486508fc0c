# SPDX-License-Identifier: Apache-2.0
"""The machine that was measured on. No ROS, no torch."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def host() -> dict[str, object]:
    """processor, cores, system, and load: runnable processes, averaged over the last minute."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "load": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
