# SPDX-License-Identifier: Apache-2.0
"""Any bag as one stream of CDR messages in time order: rosbag2 folder, .mcap, .db3, ROS 1 .bag, whole or cut off.

`rosbags` reads what is sound. What it refuses because the end is missing goes through salvage.py, and `damage` says so.
MCAP files with Foxglove's protobuf schemas go the same way and become ROS messages in foxglove.py.
"""

from __future__ import annotations

import heapq
import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from rosbags.interfaces import ConnectionExtRosbag1
from rosbags.rosbag1 import Reader as Reader1
from rosbags.rosbag1 import ReaderError as ReaderError1
from rosbags.rosbag2 import Reader as Reader2
from rosbags.rosbag2 import ReaderError as ReaderError2
from rosbags.serde import SerdeError

from mapkd_core.bags import foxglove
from mapkd_core.bags.salvage import Salvaged
from mapkd_core.bags.salvage_mcap import salvage_mcap
from mapkd_core.bags.salvage_ros1 import salvage_ros1
from mapkd_core.bags.typestore import typestore

try:  # what rosbags reads SQLite with; its errors are of a kind of their own
    from apsw import Error as SqliteError
except ImportError:
    from sqlite3 import Error as SqliteError  # type: ignore[assignment]

# What rosbags, its decompressors and struct raise on bytes that are not what they should be.
_UNREADABLE = (
    ReaderError1,
    ReaderError2,
    struct.error,
    AssertionError,
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    OSError,
    SqliteError,
    MemoryError,  # of a record that claims to be larger than the memory
)
_RENAMED = {"tf/msg/tfMessage": "tf2_msgs/msg/TFMessage"}
_SUFFIXES = (".mcap", ".db3", ".bag")


class BagError(ValueError):
    """The bag cannot be used; the message says why and what to do."""


@dataclass(frozen=True, order=True)
class Topic:
    """One topic of a bag: name as recorded, ROS 2 type, number of messages, whether late subscribers still get it.

    encoding: how it was recorded: "cdr", "ros1", or another serialisation's name such as "protobuf".
    """

    name: str
    type_name: str
    count: int
    is_latched: bool = False
    encoding: str = "cdr"

    @property
    def is_ros(self) -> bool:
        """Whether its type has the form of a ROS 2 type, package/msg/Name."""
        return self.type_name.count("/") == 2


class BagMessage(NamedTuple):
    """One message: bag time in nanoseconds, and the message as little-endian CDR."""

    topic: str
    type_name: str
    stamp_ns: int
    data: bytes | memoryview


class BagReader:
    """Opens a bag; use as a context manager.

    topics: what is in it. damage: None, or what is missing at the end of a bag that was cut off.
    skipped: topic -> messages that cannot be given as CDR (ROS 1 types and Foxglove schemas that this package does not
        know, and what is damaged among the latter).
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.skipped: Counter[str] = Counter()
        self._damages: list[str] = []
        self._sources = self._open()
        self.topics = tuple(
            sorted(
                {
                    Topic(c.topic, _type_name(c), c.msgcount, _is_latched(c), _encoding(c))
                    for source in self._sources
                    for c in source.connections
                }
            )
        )
        if not sum(topic.count for topic in self.topics):
            detail = f" ({self.damage})" if self.damage else ""
            self.close()
            raise BagError(f"bag {self.path} holds no message{detail}; record or convert it again")
        self._refuse_other_encodings()

    @property
    def damage(self) -> str | None:
        return "; ".join(self._damages) or None

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for source in self._sources:
            source.close()
        self._sources = []

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Messages of `topics` (None = all) in bag time; may be called again."""
        streams = [self._stream(source, topics) for source in self._sources]
        yield from heapq.merge(*streams, key=lambda message: message.stamp_ns)

    def _stream(self, source: Any, topics: Collection[str] | None) -> Iterator[BagMessage]:
        connections = [c for c in source.connections if topics is None or c.topic in topics]
        if not connections:
            return
        try:
            converters = {connection.id: _converter(connection, source) for connection in connections}
            for connection, stamp_ns, raw in source.messages(connections):
                data = converters[connection.id](raw)
                if data is None:
                    self.skipped[connection.topic] += 1
                    continue
                yield BagMessage(connection.topic, _type_name(connection), stamp_ns, data)
        except (*_UNREADABLE, SerdeError) as error:
            raise BagError(f"bag {self.path} is damaged: {error}") from error

    def _open(self) -> list[Any]:
        if not self.path.exists():
            raise FileNotFoundError(f"no bag at {self.path}")
        if not self.path.is_dir():
            return [self._open_file(self.path)]
        files = sorted(path for path in self.path.iterdir() if path.suffix in _SUFFIXES)
        if (self.path / "metadata.yaml").is_file():
            reader = Reader2(self.path)
            try:
                reader.open()
                return [reader]
            except _UNREADABLE as error:
                if not files:
                    raise BagError(f"bag {self.path} cannot be read: {error}") from error
        if not files:
            raise BagError(f"{self.path} is no bag: it holds neither metadata.yaml nor a file ending in {_SUFFIXES}")
        return [self._open_file(path) for path in files]

    def _open_file(self, path: Path) -> Any:
        if path.suffix not in _SUFFIXES:
            raise BagError(f"{path} is no bag: expected a rosbag2 folder or a file ending in {', '.join(_SUFFIXES)}")
        if not path.stat().st_size:
            raise BagError(f"bag {path} is an empty file; record or convert it again")
        reader = Reader1(path) if path.suffix == ".bag" else Reader2(path)
        try:
            reader.open()
        except _UNREADABLE as error:
            if path.suffix == ".db3":
                raise BagError(f"bag {path} cannot be read: {error}; try `sqlite3 {path.name} .recover`") from error
            return self._salvage(path, error)
        return reader

    def _salvage(self, path: Path, error: BaseException) -> Salvaged:
        try:
            salvaged = salvage_ros1(path) if path.suffix == ".bag" else salvage_mcap(path)
        except _UNREADABLE as reason:
            raise BagError(f"bag {path} cannot be read: {reason}") from error
        if salvaged.lost:
            self._damages.append(f"{path.name}: {salvaged.lost}")
        return salvaged

    def _refuse_other_encodings(self) -> None:
        if any(topic.is_ros for topic in self.topics):
            return
        encodings = sorted({topic.encoding for topic in self.topics})
        types = sorted({topic.type_name for topic in self.topics})
        self.close()
        raise BagError(
            f"bag {self.path} holds neither ROS messages nor Foxglove's images, but {', '.join(encodings)} "
            f"({', '.join(types[:4])}, ...); convert the scene with `mapkd bag --nuscenes ROOT --scene NAME out.mcap`"
        )


def _encoding(connection: Any) -> str:
    """cdr, ros1, or another serialisation's name."""
    if isinstance(connection.ext, ConnectionExtRosbag1):
        return "ros1"
    return str(connection.ext.serialization_format)


def _type_name(connection: Any) -> str:
    """The ROS 2 type that its messages are given as; where there is none, a name that is no ROS 2 type's."""
    encoding, recorded = _encoding(connection), str(connection.msgtype)
    if encoding in ("cdr", "ros1"):
        return _RENAMED.get(recorded, recorded)
    return foxglove.ROS_TYPES.get(recorded, recorded.replace("/msg/", "/"))


def _converter(connection: Any, source: Any) -> Callable[[Any], bytes | memoryview | None]:
    """Recorded bytes -> CDR, None for what has no counterpart."""
    encoding, type_name, known = _encoding(connection), _type_name(connection), typestore()
    if encoding == "cdr":
        return lambda raw: raw
    if encoding == "ros1" and type_name in known.fielddefs:
        return lambda raw: known.ros1_to_cdr(raw, type_name)
    if encoding == "protobuf" and connection.msgtype in foxglove.ROS_TYPES:
        return foxglove.converter(connection.msgtype, source.schemas[connection.id])
    return lambda raw: None


def _is_latched(connection: Any) -> bool:
    if connection.topic.strip("/") == "tf_static":
        return True
    if isinstance(connection.ext, ConnectionExtRosbag1):
        return bool(connection.ext.latching)
    return any(profile.durability.name == "TRANSIENT_LOCAL" for profile in connection.ext.offered_qos_profiles)
