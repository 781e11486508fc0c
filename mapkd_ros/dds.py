# SPDX-License-Identifier: Apache-2.0
"""The middleware's settings for six cameras: raw images need more shared memory than Fast DDS takes by itself."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mapkd_ros.share import share

_NEEDED_BYTES = 1_000_000_000
# Whoever has set one of these has a network of his own in mind: interfaces, peers, a discovery server.
_FAST_SETTINGS = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS")
_CYCLONE = ("CYCLONEDDS_URI",)


def dds_environment(profile: str) -> dict[str, str]:
    """Environment variables for the nodes; none for no change.

    profile: auto = the shipped profile where it fits (`dds_advice` says why not), shared_memory, none, or the path of a
    profile of the middleware in use. FileNotFoundError for a profile that is not there.
    """
    if profile == "none" or (profile == "auto" and dds_advice(profile)):
        return {}
    shipped = "cyclonedds.xml" if _is_cyclone() else "fastdds_shared_memory.xml"
    path = share(f"config/dds/{shipped}") if profile in ("auto", "shared_memory") else Path(profile)
    if not path.is_file():
        raise FileNotFoundError(f"no DDS profile at {path}; use auto, none, shared_memory or the path of an XML file")
    if _is_cyclone():
        return {_CYCLONE[0]: path.resolve().as_uri()}
    # Humble and Jazzy know only the old name; newer ones warn about it.
    is_old = os.environ.get("ROS_DISTRO") in ("humble", "iron", "jazzy")
    return {"FASTRTPS_DEFAULT_PROFILES_FILE" if is_old else "FASTDDS_DEFAULT_PROFILES_FILE": str(path.resolve())}


def dds_advice(profile: str, shared_memory: Path = Path("/dev/shm")) -> str:
    """Why `auto` leaves the shipped profile out, with the remedy; empty where it does not."""
    if profile != "auto":
        return ""
    if own := next((name for name in (_CYCLONE if _is_cyclone() else _FAST_SETTINGS) if os.environ.get(name)), ""):
        return f"DDS: {own} holds, the shipped profile is left out; raw images want what it has (dds_profile)"
    return "" if _is_cyclone() else room_advice(shared_memory)


def room_advice(shared_memory: Path = Path("/dev/shm")) -> str:
    """What to do where the shipped profile of Fast DDS has too little room; empty where it has enough."""
    try:
        free = shutil.disk_usage(shared_memory).free
    except OSError as error:
        return f"DDS: no shared-memory profile, raw images may get lost: {error}; use compressed ones"
    if free > _NEEDED_BYTES:
        return ""
    return (
        f"DDS: no shared-memory profile, raw images may get lost: {shared_memory} has {free / 1e6:.0f} MB free, the "
        f"nodes need {_NEEDED_BYTES / 1e6:.0f} (docker run --shm-size=1g); or use compressed images"
    )


def _is_cyclone() -> bool:
    return "cyclonedds" in os.environ.get("RMW_IMPLEMENTATION", "")
