# SPDX-License-Identifier: Apache-2.0
"""Writes messages as they come (CDR) into a rosbag2 MCAP bag. No ROS import."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from mapkd_core.bags.bag_file import qos
from mapkd_core.bags.typestore import typestore


class Recorder:
    """topics: name -> ROS type such as "mapkd/msg/VectorMap". latched: those whose last message stays for late readers.

    counts: topic -> messages written. ValueError when the path exists, OSError when the disk is full.
    """

    def __init__(self, path: Path, topics: Mapping[str, str], latched: tuple[str, ...] = ()) -> None:
        if path.exists():
            raise ValueError(f"bag {path} exists already; remove it or choose another path")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.counts: Counter[str] = Counter()
        self._writer = Writer(path, version=8, storage_plugin=StoragePlugin.MCAP)
        # Maps are mostly zeros: without compression a minute is half a gigabyte.
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        self._connections = {
            name: self._writer.add_connection(
                name, kind, typestore=typestore(), offered_qos_profiles=[qos(name in latched)]
            )
            for name, kind in topics.items()
        }

    def write(self, topic: str, stamp_ns: int, cdr: bytes) -> None:
        self._writer.write(self._connections[topic], stamp_ns, cdr)
        self.counts[topic] += 1

    def close(self) -> None:
        """Complete the bag. Without it there is no metadata.yaml; readers of mapkd tell and give the whole chunks."""
        self._writer.close()
