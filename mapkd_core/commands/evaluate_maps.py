# SPDX-License-Identifier: Apache-2.0
"""`mapkd evaluate --maps DIR`: true and predicted polylines as JSON, for `mapkd score` by any paper's protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mapkd_core.evaluation.map_files.maps import write_maps

if TYPE_CHECKING:
    from mapkd_core.evaluation.rendered import Predicted
    from mapkd_core.types import MapElement

TRUTH = "truth.json"


class KeptMaps:
    """Notes the polylines of the frames that pass."""

    def __init__(self) -> None:
        self.truth: dict[str, Sequence[MapElement]] = {}
        self.predicted: dict[str, dict[str, Sequence[MapElement]]] = {}
        self.scenes: dict[str, list[str]] = {}

    def passing(self, groups: Iterable[Sequence[Predicted]]) -> Iterator[Sequence[Predicted]]:
        """The groups as they are."""
        for frames in groups:
            for frame in frames:
                self.truth[frame.token] = frame.truth
                self.scenes.setdefault(frame.world, []).append(frame.token)
                for vectors, local_map in frame.maps.items():
                    self.predicted.setdefault(vectors, {})[frame.token] = local_map.elements
            yield frames

    def write(self, folder: Path) -> list[Path]:
        """truth.json, and query.json or raster.json of each kind of polylines; returns their paths."""
        write_maps(folder / TRUTH, self.truth, self.scenes, with_score=False)
        for vectors, frames in self.predicted.items():
            write_maps(folder / f"{vectors}.json", frames, self.scenes)
        return [folder / TRUTH, *(folder / f"{vectors}.json" for vectors in self.predicted)]
