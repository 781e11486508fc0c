# SPDX-License-Identifier: Apache-2.0
"""Files that MapTR and StreamMapNet write, read by what is in them.

MapTR (`nuscenes_map_dataset.py`): `nuscmap_results.json`, {"results": [{"sample_token", "vectors": [{"pts",
"cls_name", "type", "confidence_level"}]}]}, and its truth `nuscenes_map_anns_val.json` with "GTs" for "results".
Points around the **LiDAR**: x right, y forward. Types 0 divider, 1 ped_crossing, 2 boundary. MapTRv2, GeMap, MapQR,
HRMapNet and MapVR write the same. Vectors of less than two points are passed over there, and here.

StreamMapNet (`base_dataset.py`): `submission_vector.json`, {"results": {token: {"vectors", "scores", "labels"}}}, in
**ego** metres, x forward. Labels 0 ped_crossing, 1 divider, 2 boundary. VectorMapNet and MapTracker write the same;
the latter's "global_ids" are taken as tracks where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mapkd_core.evaluation.map_files.elements import Place, element, points_of, score_of
from mapkd_core.evaluation.map_files.maps import MapFile, ScoredElement

MAPTR_CLASSES = ("divider", "ped_crossing", "boundary")
STREAMMAPNET_CLASSES = ("ped_crossing", "divider", "boundary")
_TOO_SHORT = "of less than two points"


class Classes(NamedTuple):
    """Which classes are scored, and whether others are refused or left out."""

    names: tuple[str, ...]
    ignore_others: bool = False

    def scored(self, name: Any, place: Place, skipped: dict[str, int]) -> bool:
        """Whether the class is scored; one that is left out is counted. Raises ValueError for an unknown one."""
        if name in self.names:
            return True
        if not self.ignore_others:
            raise ValueError(
                f"{place}: unknown class {name!r}; scored are {', '.join(self.names)}: "
                "name it with --classes, or leave it out with --ignore-other-classes"
            )
        skipped[f"of class {name}"] = skipped.get(f"of class {name}", 0) + 1
        return False


def maptr(path: Path, content: Mapping[str, Any], with_score: bool, classes: Classes) -> MapFile:
    """Turned to x forward, y left; still around the LiDAR. Raises ValueError with the place of what is wrong."""
    key = "GTs" if isinstance(content.get("GTs"), list) else "results"
    frames: dict[str, tuple[ScoredElement, ...]] = {}
    skipped: dict[str, int] = {}
    for number, sample in enumerate(content[key]):
        if not isinstance(sample, Mapping) or "sample_token" not in sample or "vectors" not in sample:
            raise ValueError(f"{path}: {key}[{number}] lacks sample_token or vectors; is it a MapTR file?")
        token, made = str(sample["sample_token"]), []
        if token in frames:
            raise ValueError(f"{path}: sample_token {token} comes twice, again at {key}[{number}]")
        for i, vector in enumerate(sample["vectors"]):
            place = Place(str(path), token, i)
            if not isinstance(vector, Mapping) or "pts" not in vector:
                raise ValueError(f"{place}: pts is missing")
            name = vector.get("cls_name") or _named(vector.get("type"), MAPTR_CLASSES, place)
            points = points_of(vector["pts"], place)[:, ::-1] * np.array([1.0, -1.0])
            score = score_of(vector.get("confidence_level"), place) if with_score else 1.0
            made.append(_checked(name, points, score, None, place, classes, skipped))
        frames[token] = tuple(one for one in made if one is not None)
    return MapFile(path, "MapTR", frames, "lidar", {}, skipped)


def streammapnet(path: Path, content: Mapping[str, Any], with_score: bool, classes: Classes) -> MapFile:
    """Raises ValueError with the place of what is wrong."""
    frames: dict[str, tuple[ScoredElement, ...]] = {}
    skipped: dict[str, int] = {}
    for token, case in content["results"].items():
        wanted = ("vectors", "labels", "scores") if with_score else ("vectors", "labels")
        if not isinstance(case, Mapping) or any(not isinstance(case.get(key), list) for key in wanted):
            raise ValueError(f"{path}: frame {token} lacks {', '.join(wanted)}; is it a StreamMapNet file?")
        columns = {key: case[key] for key in (*wanted, "global_ids") if key in case}
        lengths = {key: len(column) for key, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"{path}: frame {token} has lists of different lengths: {lengths}")
        made = []
        for i, vector in enumerate(columns["vectors"]):
            place = Place(str(path), token, i)
            name = _named(columns["labels"][i], STREAMMAPNET_CLASSES, place)
            score = score_of(columns["scores"][i], place) if with_score else 1.0
            track = columns["global_ids"][i] if "global_ids" in columns else None
            made.append(_checked(name, points_of(vector, place), score, track, place, classes, skipped))
        frames[token] = tuple(one for one in made if one is not None)
    return MapFile(path, "StreamMapNet", frames, "ego", {}, skipped)


def _named(label: Any, order: tuple[str, ...], place: Place) -> str:
    if isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < len(order):
        known = ", ".join(f"{i} {name}" for i, name in enumerate(order))
        raise ValueError(f"{place}: class number {label!r}; known: {known}")
    return order[label]


def _checked(
    name: str, points: Any, score: float, track: Any, place: Place, classes: Classes, skipped: dict[str, int]
) -> ScoredElement | None:
    if not classes.scored(name, place, skipped):
        return None
    if len(points) < 2:
        skipped[_TOO_SHORT] = skipped.get(_TOO_SHORT, 0) + 1
        return None
    return element(name, points, score, track=track)
