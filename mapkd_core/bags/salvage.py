# SPDX-License-Identifier: Apache-2.0
"""What is left of a bag whose end is missing: the recorder was killed, the disk was full, the copy broke off.

MCAP (`salvage_mcap`) and ROS 1 (`salvage_ros1`) are both sequences of records with an index at the end. There the
records are walked from the front up to the first incomplete one, without the index; here is what they find.
"""

from __future__ import annotations

import bz2
import mmap
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import lz4.frame
from rosbags.interfaces import Connection, MessageDefinition
from rosbags.interfaces import MessageDefinitionFormat as DefinitionFormat

NO_DEFINITION = MessageDefinition(DefinitionFormat.NONE, "")  # types come from our own type store
Bytes = bytes | mmap.mmap
Chunk = tuple[int, int, str]  # offset, length, compression


class Entry(NamedTuple):
    """Where one message lies; chunk: None outside one."""

    stamp_ns: int
    connection: int
    chunk: Chunk | None
    offset: int
    length: int


class Salvaged:
    """The intact messages of a cut bag, with the two members of a rosbags reader that BagReader uses.

    view: the whole file. lost: what is missing, in words; empty where the file is complete and merely unusual.
    schemas: connection -> the schema's own bytes, for messages that are not ROS's.
    """

    def __init__(self, path: Path, view: mmap.mmap) -> None:
        self.path, self.lost = path, ""
        self.connections: list[Connection] = []
        self.schemas: dict[int, bytes] = {}
        self.entries: list[Entry] = []
        self.view = view

    def messages(self, connections: Collection[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """(connection, bag time in ns, serialised message) in time order."""
        wanted = {connection.id: connection for connection in connections}
        chunk, content = None, b""
        for entry in self.entries:
            if entry.connection not in wanted:
                continue
            if entry.chunk is None:
                data = self.view[entry.offset : entry.offset + entry.length]
            else:
                if entry.chunk != chunk:
                    chunk, content = entry.chunk, self.chunk(entry.chunk)
                data = content[entry.offset : entry.offset + entry.length]
            yield wanted[entry.connection], entry.stamp_ns, data

    def chunk(self, where: Chunk) -> bytes:
        offset, length, compression = where
        return _decompress(self.view[offset : offset + length], compression)

    def close(self) -> None:
        self.view.close()

    def finish(self, intact: int, is_complete: bool) -> Salvaged:
        """Sort, count, and say what is missing after byte `intact`."""
        self.entries.sort(key=lambda entry: entry.stamp_ns)
        counts: dict[int, int] = {}
        for entry in self.entries:
            counts[entry.connection] = counts.get(entry.connection, 0) + 1
        self.connections = [c._replace(msgcount=counts.get(c.id, 0)) for c in self.connections]
        if not is_complete:
            total = len(self.view)
            self.lost = f"cut off: {len(self.entries)} messages in the first {intact} of {total} bytes, index missing"
        return self


def mapped(path: Path, magic: bytes) -> mmap.mmap:
    """The file; ValueError where it begins otherwise."""
    with path.open("rb") as file:
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if view[: len(magic)] != magic:
        found = view[: len(magic)]
        view.close()
        raise ValueError(f"its first bytes are {found!r}, expected {magic!r}: this is another kind of file")
    return view


def ros2_name(type_name: str) -> str:
    """sensor_msgs/Image -> sensor_msgs/msg/Image; others as they are."""
    return type_name.replace("/", "/msg/") if type_name.count("/") == 1 else type_name


def _decompress(data: bytes, compression: str) -> bytes:
    if not compression:
        return data
    if compression == "lz4":
        return lz4.frame.decompress(data)
    if compression == "bz2":
        return bz2.decompress(data)
    if compression == "zstd":
        from backports import zstd  # comes with rosbags

        return zstd.decompress(data)
    raise ValueError(f"chunk compression {compression!r} is not known")
