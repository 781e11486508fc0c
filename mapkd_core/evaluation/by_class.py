# SPDX-License-Identifier: Apache-2.0
"""Elements of one frame, class by class, as every AP takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mapkd_core.types import MapElement


def by_class(
    predicted: Sequence[MapElement],
    truth: Sequence[MapElement],
    classes: Sequence[str],
    labelled: Iterable[str] | None = None,
) -> Iterator[tuple[str, list[MapElement], list[MapElement]]]:
    """Name, detections and targets of each class whose truth is known: all where `labelled` is None."""
    known = set(classes if labelled is None else labelled)
    for name in classes:
        if name in known:
            yield name, [e for e in predicted if e.class_name == name], [e for e in truth if e.class_name == name]
