# SPDX-License-Identifier: Apache-2.0
"""The intact messages of a ROS 1 bag that is cut off (http://wiki.ros.org/Bags/Format/2.0)."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

from rosbags.interfaces import Connection, ConnectionExtRosbag1

from mapkd_core.bags.salvage import NO_DEFINITION, Bytes, Chunk, Entry, Salvaged, mapped, ros2_name

_MAGIC = b"#ROSBAG V2.0\n"
_Record = tuple[dict[str, bytes], int, int, bool]  # header fields, start of data, end of data, is whole


def salvage_ros1(path: Path) -> Salvaged:
    """Intact messages of a ROS 1 bag, format 2.0; ValueError where not even the beginning is one."""
    bag = Salvaged(path, mapped(path, _MAGIC))
    intact = len(_MAGIC)
    for fields, start, end, is_whole in _records(bag.view, intact, len(bag.view)):
        op = fields.get("op", b"\0")[0]
        compression = fields.get("compression", b"none").decode().replace("none", "")
        if op == 5 and (is_whole or not compression):
            where = (start, end - start, compression)
            content = bag.chunk(where)
            for record in _records(content, 0, len(content)):
                _add(bag, content, record, where)
        elif is_whole:
            _add(bag, bag.view, (fields, start, end, True), None)
        intact = end if is_whole else intact
    return bag.finish(intact, is_complete=False)


def _records(view: Bytes, at: int, stop: int) -> Iterator[_Record]:
    """(header fields, start of data, end of data, is whole) of each record; the last one may not be whole."""
    while at + 4 <= stop:
        (length,) = struct.unpack_from("<I", view, at)
        start = at + 8 + length
        if start > stop:
            return
        (size,) = struct.unpack_from("<I", view, at + 4 + length)
        yield _fields(view[at + 4 : at + 4 + length]), start, min(start + size, stop), start + size <= stop
        at = start + size


def _fields(header: bytes) -> dict[str, bytes]:
    fields, stream = {}, io.BytesIO(header)
    while len(size := stream.read(4)) == 4:
        name, _, value = stream.read(struct.unpack("<I", size)[0]).partition(b"=")
        fields[name.decode("utf-8", "replace")] = value
    return fields


def _add(bag: Salvaged, view: Bytes, record: _Record, chunk: Chunk | None) -> None:
    fields, start, end, is_whole = record
    op = fields.get("op", b"\0")[0]
    if not is_whole or op not in (2, 7) or "conn" not in fields:
        return
    (number,) = struct.unpack("<I", fields["conn"])
    if op == 2:
        seconds, nanoseconds = struct.unpack("<II", fields["time"])
        bag.entries.append(Entry(seconds * 10**9 + nanoseconds, number, chunk, start, end - start))
    elif all(connection.id != number for connection in bag.connections):
        described = _fields(view[start:end])
        topic, kind = fields["topic"].decode(), ros2_name(described["type"].decode())
        ext = ConnectionExtRosbag1(None, int(described.get("latching", b"0") or b"0"))
        bag.connections.append(Connection(number, topic, kind, NO_DEFINITION, "", 0, ext, bag))
