# SPDX-License-Identifier: Apache-2.0
"""Read what is left of a bag whose end is missing: the recorder was killed, the disk was full, the copy broke off.

MCAP (https://mcap.dev/spec) and ROS 1 (http://wiki.ros.org/Bags/Format/2.0) are both sequences of records with an index
at the end. Here the records are walked from the front up to the first incomplete one, without the index.
"""

from __future__ import annotations

import bz2
import io
import mmap
import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import lz4.frame
from rosbags.interfaces import Connection, ConnectionExtRosbag1, ConnectionExtRosbag2, MessageDefinition
from rosbags.interfaces import MessageDefinitionFormat as DefinitionFormat

_MCAP_MAGIC, _ROS1_MAGIC = b"\x89MCAP0\r\n", b"#ROSBAG V2.0\n"
_NO_DEFINITION = MessageDefinition(DefinitionFormat.NONE, "")  # types come from our own type store


class _Entry(NamedTuple):
    """Where one message lies: `chunk` is the chunk's (offset, length, compression) in the file, None outside one."""

    stamp_ns: int
    connection: int
    chunk: tuple[int, int, str] | None
    offset: int
    length: int


class Salvaged:
    """The intact messages of a cut bag, with the two members of a rosbags reader that BagReader uses.

    lost: what is missing, in words; empty where the file is complete and merely unusual.
    schemas: connection -> the schema's own bytes, for messages that are not ROS's.
    """

    def __init__(self, path: Path, view: mmap.mmap) -> None:
        self.path, self.lost = path, ""
        self.connections: list[Connection] = []
        self.schemas: dict[int, bytes] = {}
        self.entries: list[_Entry] = []
        self._view = view

    def messages(self, connections: Collection[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """(connection, bag time in ns, serialised message) in time order."""
        wanted = {connection.id: connection for connection in connections}
        chunk, content = None, b""
        for entry in self.entries:
            if entry.connection not in wanted:
                continue
            if entry.chunk is None:
                data = self._view[entry.offset : entry.offset + entry.length]
            else:
                if entry.chunk != chunk:
                    chunk, content = entry.chunk, self.chunk(entry.chunk)
                data = content[entry.offset : entry.offset + entry.length]
            yield wanted[entry.connection], entry.stamp_ns, data

    def chunk(self, where: tuple[int, int, str]) -> bytes:
        offset, length, compression = where
        return _decompress(self._view[offset : offset + length], compression)

    def close(self) -> None:
        self._view.close()

    def finish(self, intact: int, is_complete: bool) -> Salvaged:
        """Sort, count, and say what is missing after byte `intact`."""
        self.entries.sort(key=lambda entry: entry.stamp_ns)
        counts: dict[int, int] = {}
        for entry in self.entries:
            counts[entry.connection] = counts.get(entry.connection, 0) + 1
        self.connections = [c._replace(msgcount=counts.get(c.id, 0)) for c in self.connections]
        if not is_complete:
            total = len(self._view)
            self.lost = f"cut off: {len(self.entries)} messages in the first {intact} of {total} bytes, index missing"
        return self


def salvage_mcap(path: Path) -> Salvaged:
    """Intact messages of an MCAP file of any profile; ValueError where not even the beginning is MCAP."""
    bag = Salvaged(path, _map(path, _MCAP_MAGIC))
    schemas: dict[int, tuple[str, bytes]] = {}
    intact, is_complete = len(_MCAP_MAGIC), False
    for op, start, end, is_whole in _mcap_records(bag._view, len(_MCAP_MAGIC), len(bag._view)):
        if op == 0x06 and end - start > 40:
            compression, offset = _mcap_string(bag._view, start + 28)
            # A chunk that breaks off can be read as far as it goes when it is not compressed.
            if is_whole or not compression:
                where = (offset + 8, end - offset - 8, compression)
                content = bag.chunk(where)
                for record in _mcap_records(content, 0, len(content)):
                    _add_mcap(bag, schemas, content, record, where)
        elif is_whole:
            _add_mcap(bag, schemas, bag._view, (op, start, end, True), None)
        if is_whole:
            intact = end
        is_complete = is_complete or (op == 0x02 and is_whole)
    return bag.finish(intact, is_complete)


def salvage_ros1(path: Path) -> Salvaged:
    """Intact messages of a ROS 1 bag, format 2.0; ValueError where not even the beginning is one."""
    bag = Salvaged(path, _map(path, _ROS1_MAGIC))
    intact = len(_ROS1_MAGIC)
    for fields, start, end, is_whole in _ros1_records(bag._view, intact, len(bag._view)):
        op = fields.get("op", b"\0")[0]
        compression = fields.get("compression", b"none").decode().replace("none", "")
        if op == 5 and (is_whole or not compression):
            where = (start, end - start, compression)
            content = bag.chunk(where)
            for record in _ros1_records(content, 0, len(content)):
                _add_ros1(bag, content, record, where)
        elif is_whole:
            _add_ros1(bag, bag._view, (fields, start, end, True), None)
        intact = end if is_whole else intact
    return bag.finish(intact, is_complete=False)


def _map(path: Path, magic: bytes) -> mmap.mmap:
    with path.open("rb") as file:
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if view[: len(magic)] != magic:
        found = view[: len(magic)]
        view.close()
        raise ValueError(f"its first bytes are {found!r}, expected {magic!r}: this is another kind of file")
    return view


_Bytes = bytes | mmap.mmap
_McapRecord = tuple[int, int, int, bool]
_Ros1Record = tuple[dict[str, bytes], int, int, bool]


def _mcap_records(view: _Bytes, at: int, stop: int) -> Iterator[_McapRecord]:
    """(opcode, start, end, is whole) of each record; the last one may not be whole."""
    while at + 9 <= stop:
        op, length = struct.unpack_from("<BQ", view, at)
        end = at + 9 + length
        yield op, at + 9, min(end, stop), end <= stop
        if op == 0x02:  # footer; only the closing magic follows
            return
        at = end


def _mcap_string(view: _Bytes, at: int) -> tuple[str, int]:
    """(string, offset behind it)."""
    (length,) = struct.unpack_from("<I", view, at)
    return view[at + 4 : at + 4 + length].decode("utf-8", "replace"), at + 4 + length


def _add_mcap(
    bag: Salvaged,
    schemas: dict[int, tuple[str, bytes]],
    view: _Bytes,
    record: _McapRecord,
    chunk: tuple[int, int, str] | None,
) -> None:
    op, start, end, is_whole = record
    if not is_whole:
        return
    if op == 0x03:
        (number,) = struct.unpack_from("<H", view, start)
        name, at = _mcap_string(view, start + 2)
        _, at = _mcap_string(view, at)
        schemas[number] = name, view[at + 4 : end]
    elif op == 0x04:
        number, schema = struct.unpack_from("<HH", view, start)
        topic, at = _mcap_string(view, start + 4)
        encoding, _ = _mcap_string(view, at)
        if all(connection.id != number for connection in bag.connections):
            ext = ConnectionExtRosbag2(encoding, [])
            name, bag.schemas[number] = schemas.get(schema, ("", b""))
            name = _ros2_name(name)
            bag.connections.append(Connection(number, topic, name, _NO_DEFINITION, "", 0, ext, bag))
    elif op == 0x05:
        number, _, stamp_ns, _ = struct.unpack_from("<HIQQ", view, start)
        bag.entries.append(_Entry(stamp_ns, number, chunk, start + 22, end - start - 22))


def _ros1_records(view: _Bytes, at: int, stop: int) -> Iterator[_Ros1Record]:
    """(header fields, start of data, end of data, is whole) of each record; the last one may not be whole."""
    while at + 4 <= stop:
        (length,) = struct.unpack_from("<I", view, at)
        start = at + 8 + length
        if start > stop:
            return
        (size,) = struct.unpack_from("<I", view, at + 4 + length)
        yield _ros1_fields(view[at + 4 : at + 4 + length]), start, min(start + size, stop), start + size <= stop
        at = start + size


def _ros1_fields(header: bytes) -> dict[str, bytes]:
    fields, stream = {}, io.BytesIO(header)
    while len(size := stream.read(4)) == 4:
        name, _, value = stream.read(struct.unpack("<I", size)[0]).partition(b"=")
        fields[name.decode("utf-8", "replace")] = value
    return fields


def _add_ros1(bag: Salvaged, view: _Bytes, record: _Ros1Record, chunk: tuple[int, int, str] | None) -> None:
    fields, start, end, is_whole = record
    op = fields.get("op", b"\0")[0]
    if not is_whole or op not in (2, 7) or "conn" not in fields:
        return
    (number,) = struct.unpack("<I", fields["conn"])
    if op == 2:
        seconds, nanoseconds = struct.unpack("<II", fields["time"])
        bag.entries.append(_Entry(seconds * 10**9 + nanoseconds, number, chunk, start, end - start))
    elif all(connection.id != number for connection in bag.connections):
        described = _ros1_fields(view[start:end])
        topic, kind = fields["topic"].decode(), _ros2_name(described["type"].decode())
        ext = ConnectionExtRosbag1(None, int(described.get("latching", b"0") or b"0"))
        bag.connections.append(Connection(number, topic, kind, _NO_DEFINITION, "", 0, ext, bag))


def _ros2_name(type_name: str) -> str:
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
