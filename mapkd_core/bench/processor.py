# SPDX-License-Identifier: Apache-2.0
"""The processor's name, for reports of measurements. No torch."""

from __future__ import annotations

import platform
from pathlib import Path


def processor() -> str:
    """As the machine tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
