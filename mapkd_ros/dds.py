# SPDX-License-Identifier: Apache-2.0
"""The middleware's settings for six cameras: raw images need more shared memory than Fast DDS takes by itself."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mapkd_ros.share import share

_NEEDED_BYTES = 1_000_000_000


def dds_environment(profile: str) -> dict[str, str]:
    """Environment variables for the nodes; none for no change.

    profile: auto = the shared-memory profile where /dev/shm has room (a container's often has not), shared_memory,
    none, or the path of a Fast DDS profile. FileNotFoundError for a profile that is not there.
    """
    if profile == "none" or (profile == "auto" and not _has_shared_memory()):
        return {}
    path = share("config/dds/fastdds_shared_memory.xml") if profile in ("auto", "shared_memory") else Path(profile)
    if not path.is_file():
        raise FileNotFoundError(f"no DDS profile at {path}; use auto, none, shared_memory or the path of an XML file")
    # Humble and Jazzy know only the old name; newer ones warn about it.
    is_old = os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy")
    return {"FASTRTPS_DEFAULT_PROFILES_FILE" if is_old else "FASTDDS_DEFAULT_PROFILES_FILE": str(path.resolve())}


def _has_shared_memory() -> bool:
    try:
        return shutil.disk_usage("/dev/shm").free > _NEEDED_BYTES
    except OSError:
        return False
