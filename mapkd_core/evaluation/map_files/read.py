# SPDX-License-Identifier: Apache-2.0
"""Reads a file of maps; its form is told by its content: mapkd's own, MapTR's or StreamMapNet's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mapkd_core.evaluation.map_files import submissions
from mapkd_core.evaluation.map_files.elements import Place, element, points_of, score_of
from mapkd_core.evaluation.map_files.maps import MapFile, ScoredElement
from mapkd_core.reading import parse_json
from mapkd_core.types import CLASSES

_FORMS = """known: {"frames": {token: [{"class", "points", "score"}, ...]}} of mapkd, {"results": [{"sample_token",
"vectors"}, ...]} or {"GTs": [...]} of MapTR, {"results": {token: {"vectors", "scores", "labels"}}} of StreamMapNet"""


def read_maps(
    path: Path | str, with_score: bool, classes: Sequence[str] = CLASSES, ignore_other_classes: bool = False
) -> MapFile:
    """with_score: predictions, where every element needs a score; off for truth, where none is looked at.

    classes: which are scored; an element of another one is refused, or counted and left out with
    `ignore_other_classes`. Raises FileNotFoundError, and ValueError where the content is wrong, with its place.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}; expected a JSON file of maps, see docs/metrics.md")
    try:
        content = parse_json(path.read_bytes(), str(path))
    except ValueError as error:
        raise ValueError(f"{error}; is it cut off?") from None
    chosen = submissions.Classes(tuple(classes), ignore_other_classes)
    if isinstance(content, Mapping):
        if isinstance(content.get("frames"), Mapping):
            return _own(path, content, with_score, chosen)
        if isinstance(content.get("GTs"), list) or isinstance(content.get("results"), list):
            return submissions.maptr(path, content, with_score, chosen)
        if isinstance(content.get("results"), Mapping):
            return submissions.streammapnet(path, content, with_score, chosen)
    keys = f"keys {sorted(content)[:6]}" if isinstance(content, Mapping) else f"a {type(content).__name__}"
    raise ValueError(f"{path} holds no maps but {keys}; {_FORMS}")


def _own(path: Path, content: Mapping[str, Any], with_score: bool, chosen: submissions.Classes) -> MapFile:
    frames: dict[str, tuple[ScoredElement, ...]] = {}
    skipped: dict[str, int] = {}
    for token, entries in content["frames"].items():
        if not isinstance(entries, list):
            raise ValueError(f"{path}: frame {token} is a {type(entries).__name__}; expected a list of elements")
        places = (Place(str(path), token, i) for i in range(len(entries)))
        made = (_element(entry, place, with_score, chosen, skipped) for entry, place in zip(entries, places))
        frames[token] = tuple(one for one in made if one is not None)
    return MapFile(path, "mapkd", frames, "ego", _scenes(path, content.get("scenes", {}), frames), skipped)


def _element(
    entry: Any, place: Place, with_score: bool, chosen: submissions.Classes, skipped: dict[str, int]
) -> ScoredElement | None:
    missing = {"class", "points"} | ({"score"} if with_score else set())
    missing -= set(entry) if isinstance(entry, Mapping) else set()
    if missing:
        raise ValueError(f"{place}: {', '.join(sorted(missing))} is missing; found {str(entry)[:60]}")
    if not chosen.scored(entry["class"], place, skipped):
        return None
    points = points_of(entry["points"], place)
    if len(points) < 2:
        raise ValueError(f"{place}: {len(points)} point(s) make no line; leave the element out")
    score = score_of(entry["score"], place) if with_score else 1.0
    return element(entry["class"], points, score, bool(entry.get("closed", False)), entry.get("track"))


def _scenes(path: Path, value: Any, frames: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, Mapping) or not all(isinstance(tokens, list) for tokens in value.values()):
        raise ValueError(f"{path}: scenes must be {{name: [token, ...]}} in the order of time")
    listed = [token for tokens in value.values() for token in tokens]
    unknown = [token for token in listed if token not in frames]
    if unknown or len(set(listed)) != len(listed):
        what = f"frame {unknown[0]!r}, which the file lacks" if unknown else "a frame twice"
        raise ValueError(f"{path}: scenes name {what}")
    return {name: tuple(tokens) for name, tokens in value.items()}
