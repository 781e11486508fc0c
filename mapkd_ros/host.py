# SPDX-License-Identifier: Apache-2.0
"""The machine that was measured on. No ROS, no torch."""

from __future__ import annotations

import os
import platform

from mapkd_core.bench.processor import processor


def host() -> dict[str, object]:
    """processor, cores, system, and load: runnable processes, averaged over the last minute."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "load": round(os.getloadavg()[0], 2),
    }
