# SPDX-License-Identifier: Apache-2.0
"""The maps that a map node published, read back from the bag that recorded them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.bags import from_messages
from mapkd_core.bags.storage import BagReader
from mapkd_core.bags.typestore import typestore
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, LocalMap

VECTORS, SEMANTIC, TIMES = "/map/vector_map", "/map/semantic_map", "/map/processing_time"


def published_maps(path: Path | str) -> Iterator[LocalMap]:
    """Maps in the order of their stamps; those of a frame without vectors are left out."""
    found: dict[int, dict[str, Any]] = {}
    with BagReader(path) as reader:
        for message in reader.messages({VECTORS, SEMANTIC, TIMES}):
            content = typestore().deserialize_cdr(message.data, message.type_name)
            found.setdefault(from_messages.stamp_ns(content.header), {})[message.topic] = message
    for stamp_ns in sorted(found):
        if VECTORS in found[stamp_ns]:
            content = {
                topic: typestore().deserialize_cdr(message.data, message.type_name)
                for topic, message in found[stamp_ns].items()
            }
            yield local_map(stamp_ns, content[VECTORS], content.get(SEMANTIC), content.get(TIMES))


def local_map(stamp_ns: int, vectors: Any, semantic: Any | None, times: Any | None) -> LocalMap:
    """VectorMap, BevSemanticMap and ProcessingTime of one stamp."""
    low, high, cell = vectors.range_min, vectors.range_max, 0.15 if semantic is None else semantic.info.resolution
    grid = BevGrid(*(round(float(v), 6) for v in (low.x, high.x, low.y, high.y)), round(float(cell), 6))
    classes, probability, observed = CLASSES, None, None
    if semantic is not None:
        classes = tuple(semantic.layers)
        probability = np.asarray(semantic.data, np.uint8).reshape(len(classes), *grid.shape)
        if len(semantic.observed):
            observed = np.asarray(semantic.observed, bool).reshape(grid.shape)
    states = zip(vectors.input.camera_names, vectors.input.camera_states)
    durations = {} if times is None else dict(zip(times.stages, map(float, times.duration_ms)))
    return LocalMap(
        grid, from_messages.elements(vectors), classes, probability, observed, stamp_ns,
        tuple(name for name, state in states if state in (0, 4)), durations,
    )  # fmt: skip
