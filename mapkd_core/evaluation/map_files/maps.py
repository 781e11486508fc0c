# SPDX-License-Identifier: Apache-2.0
"""What a file of maps holds, however it was written, and mapkd's own form of it (docs/metrics.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mapkd_core.types import MapElement
from mapkd_core.writing import write_json

# MapTR's points are around the LiDAR; nuScenes mounts it so far ahead of the ego origin (0.94 and 0.99 m by vehicle).
LIDAR_X_M = 0.94


@dataclass(frozen=True)
class ScoredElement(MapElement):
    """A map element of a file. track: the same for one physical element in all frames of a scene; None: unknown."""

    track: int | str | None = None


@dataclass(frozen=True)
class MapFile:
    """frames: token -> elements, metres, x forward, y left.

    origin: "ego" or "lidar", what lies at (0, 0). scenes: name -> tokens in the order of time; empty where unknown.
    skipped: what was left out, why -> how many. form: which format the file has.
    """

    path: Path
    form: str
    frames: dict[str, tuple[ScoredElement, ...]]
    origin: str = "ego"
    scenes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)

    def around_ego(self, lidar_x_m: float = LIDAR_X_M) -> MapFile:
        """The same maps around the ego origin. lidar_x_m: how far ahead of it the LiDAR is mounted."""
        if self.origin == "ego":
            return self
        moved = {
            token: tuple(replace(e, vertices_m=e.vertices_m + np.array([lidar_x_m, 0.0])) for e in elements)
            for token, elements in self.frames.items()
        }
        return replace(self, frames=moved, origin="ego")


def write_maps(
    path: Path,
    frames: Mapping[str, Sequence[MapElement]],
    scenes: Mapping[str, Sequence[str]] | None = None,
    with_score: bool = True,
    notes: Mapping[str, Any] | None = None,
) -> None:
    """token -> elements in ego metres, as mapkd's own JSON. with_score: off for truth. Whole or not at all.

    notes: more keys, JSON-ready, that readers leave alone.
    """
    content: dict[str, Any] = dict(notes or {})
    content["frames"] = {token: [_plain(e, with_score) for e in elements] for token, elements in frames.items()}
    if scenes:
        content["scenes"] = {name: list(tokens) for name, tokens in scenes.items()}
    write_json(path, content, indent=None)


def _plain(element: MapElement, with_score: bool) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "class": element.class_name,
        "points": np.round(np.asarray(element.vertices_m, float), 4).tolist(),
        "closed": bool(element.is_closed),
    }
    if with_score:
        plain["score"] = float(element.confidence)
    track = getattr(element, "track", None)
    return plain if track is None else plain | {"track": track}
