# SPDX-License-Identifier: Apache-2.0
"""Lists of map elements, one list a frame, as flat arrays and back: fit for `np.savez`, no pickles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mapkd_core.types import CLASSES, MapElement


def pack(frames: Sequence[Sequence[MapElement]], prefix: str = "") -> dict[str, NDArray]:
    """The elements of all frames one after the other: vertices, lengths, classes (into names), closed, counts."""
    elements = [e for frame in frames for e in frame]
    names = [*CLASSES, *sorted({e.class_name for e in elements} - set(CLASSES))]
    none = [np.zeros((0, 2), np.float32)]
    arrays = {
        "vertices": np.concatenate([np.asarray(e.vertices_m, np.float32) for e in elements] or none),
        "lengths": np.array([len(e.vertices_m) for e in elements], np.int32),
        "classes": np.array([names.index(e.class_name) for e in elements], np.uint8),
        "closed": np.array([e.is_closed for e in elements], bool),
        "counts": np.array([len(frame) for frame in frames], np.int32),
        "names": np.array(names),
    }
    return {prefix + key: value for key, value in arrays.items()}


def unpack(arrays: Mapping[str, NDArray], frame: int, prefix: str = "") -> tuple[MapElement, ...]:
    """The elements of one frame; none where `arrays` holds no list of this prefix."""
    if prefix + "counts" not in arrays:
        return ()
    counts, lengths = arrays[prefix + "counts"], arrays[prefix + "lengths"]
    names = arrays.get(prefix + "names", np.array(CLASSES))  # files of before 0.2 have none
    first = int(counts[:frame].sum())
    start = int(lengths[:first].sum())
    elements = []
    for i in range(first, first + int(counts[frame])):
        end = start + int(lengths[i])
        name = str(names[arrays[prefix + "classes"][i]])
        elements.append(MapElement(name, arrays[prefix + "vertices"][start:end], bool(arrays[prefix + "closed"][i])))
        start = end
    return tuple(elements)
