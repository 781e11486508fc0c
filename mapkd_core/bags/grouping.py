# SPDX-License-Identifier: Apache-2.0
"""Which images belong together: for each image of the anchor camera, the nearest one of every other camera."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from mapkd_core.bags.storage import BagMessage, BagReader


def nearest(anchor_ns: Sequence[int], stamps_ns: Sequence[int], max_skew_ns: int) -> list[int | None]:
    """For each anchor stamp the index of the nearest of `stamps_ns` (any order), None where all are too far.

    The earlier stamp wins a tie, so that the same bag always gives the same frames.
    """
    if not len(stamps_ns):
        return [None] * len(anchor_ns)
    order = np.argsort(np.asarray(stamps_ns, np.int64), kind="stable")
    ordered, anchors = np.asarray(stamps_ns, np.int64)[order], np.asarray(anchor_ns, np.int64)
    after = np.clip(np.searchsorted(ordered, anchors), 1, max(len(ordered) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(ordered) - 1)
    chosen = np.where(np.abs(ordered[after] - anchors) < np.abs(anchors - ordered[before]), after, before)
    skew = np.abs(ordered[chosen] - anchors)
    return [int(order[index]) if gap <= max_skew_ns else None for index, gap in zip(chosen, skew)]


def group(
    anchor: str, stamps_ns: Mapping[str, Sequence[int]], max_skew_ns: int
) -> list[tuple[int, dict[str, int | None]]]:
    """(anchor stamp, stream -> index of its message or None) for every image of the anchor, in stamp order.

    Two images of the anchor with one stamp are one image: the first.
    """
    anchors = sorted(set(stamps_ns[anchor]))
    columns = {name: nearest(anchors, stamps, max_skew_ns) for name, stamps in stamps_ns.items()}
    return [(stamp, {name: column[row] for name, column in columns.items()}) for row, stamp in enumerate(anchors)]


def evenly(stamps_ns: Sequence[int], count: int | None) -> set[int]:
    """At most `count` of the stamps, evenly spread from the first to the last; all where it is None."""
    ordered = sorted(set(stamps_ns))
    places = np.linspace(0, len(ordered) - 1, min(count or len(ordered), len(ordered)))
    return {ordered[i] for i in places.round().astype(int)}


def collect(
    reader: BagReader, streams: dict[str, str], groups: list[tuple[int, dict[str, int | None]]]
) -> Iterator[tuple[int, dict[str, BagMessage | None]]]:
    """Hand out the groups in order, each as soon as its last message was read.

    streams: name -> topic. groups: (stamp, name -> index among the topic's messages or None), as `group` gives them.
    """
    wanted: dict[tuple[str, int], list[int]] = {}
    missing = [0] * len(groups)
    collected: list[dict[str, BagMessage | None]] = [dict.fromkeys(streams) for _ in groups]
    for number, (_, indices) in enumerate(groups):
        for stream, index in indices.items():
            if index is not None:
                wanted.setdefault((stream, index), []).append(number)
                missing[number] += 1
    names = {topic: stream for stream, topic in streams.items()}
    seen: Counter[str] = Counter()
    head = 0
    for message in reader.messages(set(names)):
        stream = names[message.topic]
        for number in wanted.get((stream, seen[stream]), ()):
            collected[number][stream] = message
            missing[number] -= 1
        seen[stream] += 1
        while head < len(groups) and not missing[head]:
            yield groups[head][0], collected[head]
            collected[head] = {}
            head += 1
