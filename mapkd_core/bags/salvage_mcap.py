# SPDX-License-Identifier: Apache-2.0
"""The intact messages of an MCAP file that is cut off (https://mcap.dev/spec)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from rosbags.interfaces import Connection, ConnectionExtRosbag2

from mapkd_core.bags.salvage import NO_DEFINITION, Bytes, Chunk, Entry, Salvaged, mapped, ros2_name

_MAGIC = b"\x89MCAP0\r\n"
_Record = tuple[int, int, int, bool]  # opcode, start, end, is whole


def salvage_mcap(path: Path) -> Salvaged:
    """Intact messages of an MCAP file of any profile; ValueError where not even the beginning is MCAP."""
    bag = Salvaged(path, mapped(path, _MAGIC))
    schemas: dict[int, tuple[str, bytes]] = {}
    intact, is_complete = len(_MAGIC), False
    for op, start, end, is_whole in _records(bag.view, len(_MAGIC), len(bag.view)):
        if op == 0x06 and end - start > 40:
            compression, offset = _string(bag.view, start + 28)
            # A chunk that breaks off can be read as far as it goes when it is not compressed.
            if is_whole or not compression:
                where = (offset + 8, end - offset - 8, compression)
                content = bag.chunk(where)
                for record in _records(content, 0, len(content)):
                    _add(bag, schemas, content, record, where)
        elif is_whole:
            _add(bag, schemas, bag.view, (op, start, end, True), None)
        if is_whole:
            intact = end
        is_complete = is_complete or (op == 0x02 and is_whole)
    return bag.finish(intact, is_complete)


def _records(view: Bytes, at: int, stop: int) -> Iterator[_Record]:
    """(opcode, start, end, is whole) of each record; the last one may not be whole."""
    while at + 9 <= stop:
        op, length = struct.unpack_from("<BQ", view, at)
        end = at + 9 + length
        yield op, at + 9, min(end, stop), end <= stop
        if op == 0x02:  # footer; only the closing magic follows
            return
        at = end


def _string(view: Bytes, at: int) -> tuple[str, int]:
    """(string, offset behind it)."""
    (length,) = struct.unpack_from("<I", view, at)
    return view[at + 4 : at + 4 + length].decode("utf-8", "replace"), at + 4 + length


def _add(
    bag: Salvaged,
    schemas: dict[int, tuple[str, bytes]],
    view: Bytes,
    record: _Record,
    chunk: Chunk | None,
) -> None:
    op, start, end, is_whole = record
    if not is_whole:
        return
    if op == 0x03:
        (number,) = struct.unpack_from("<H", view, start)
        name, at = _string(view, start + 2)
        _, at = _string(view, at)
        schemas[number] = name, view[at + 4 : end]
    elif op == 0x04:
        number, schema = struct.unpack_from("<HH", view, start)
        topic, at = _string(view, start + 4)
        encoding, _ = _string(view, at)
        if all(connection.id != number for connection in bag.connections):
            ext = ConnectionExtRosbag2(encoding, [])
            name, bag.schemas[number] = schemas.get(schema, ("", b""))
            name = ros2_name(name)
            bag.connections.append(Connection(number, topic, name, NO_DEFINITION, "", 0, ext, bag))
    elif op == 0x05:
        number, _, stamp_ns, _ = struct.unpack_from("<HIQQ", view, start)
        bag.entries.append(Entry(stamp_ns, number, chunk, start + 22, end - start - 22))
