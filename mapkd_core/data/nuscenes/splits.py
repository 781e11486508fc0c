# SPDX-License-Identifier: Apache-2.0
"""Which scenes belong to which split: official, written with a set, or from a file that the user has.

`streammapnet` names StreamMapNet's (split_lists/streammapnet.json: train, val, calibration, at places apart). Lists of
geographical-splits are not shipped, for it has no licence. Files of other projects are read as they are:
    StreamMapNet          tools/data_converter/nusc_split.py          train, val, calibration
    geographical-splits   near_extrapolation_splits/nuscenes/scenes/nusc_scenes_geo_txts (folder of train.txt, ...)
                          far_extrapolation_splits/nuscenes/boston.txt (one split per file)
    `mapkd nuscenes split` JSON: {"train": ["scene-0001", ...], ...}; keys that hold no list are comments
A Python file is parsed for its lists of strings, never run.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from mapkd_core.data.nuscenes import devkit

SHIPPED = {path.stem: path for path in sorted((Path(__file__).parent / "split_lists").glob("*.json"))}
Splits = dict[str, tuple[str, ...]]


def scenes_of(
    split: str, scene_names: tuple[str, ...], own: Path | None = None, path: Path | None = None
) -> tuple[str, ...]:
    """The scenes of `split` that are in a dataset with `scene_names`, in the order of the dataset.

    path: a name in SHIPPED, a file or a folder of splits; else those of the set's own splits.json (`own`), else the
    official ones.
    Raises ValueError for an unknown split, and for one of which the dataset has no scene.
    """
    if path is not None:
        known, source = read_splits(SHIPPED.get(str(path), path)), str(path)
    else:
        known = {name: tuple(scenes) for name, scenes in devkit.scene_splits().items()}
        source = "the official splits"
        if own is not None and own.is_file():
            known, source = known | read_splits(own), f"the official splits and {own}"
    if split not in known:
        raise ValueError(f"no split {split!r} in {source}; there are {', '.join(known)}")
    chosen = set(known[split])
    scenes = tuple(name for name in scene_names if name in chosen)
    if not scenes:
        raise ValueError(
            f"split {split!r} of {source} names {len(chosen)} scenes, none of the {len(scene_names)} of this dataset; "
            "choose a split of its version (v1.0-mini has mini_train and mini_val)"
        )
    return scenes


def read_splits(path: Path) -> Splits:
    """Split name -> scene names from a .json, .txt or .py file or a folder of .txt files.

    Raises FileNotFoundError, and ValueError for anything that is no list of scene names or names a scene twice.
    """
    if path.is_dir():
        splits = {file.stem: _lines(file) for file in sorted(path.glob("*.txt"))}
    elif not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of splits")
    elif path.suffix == ".txt":
        splits = {path.stem: _lines(path)}
    elif path.suffix == ".py":
        splits = _python_lists(path)
    else:
        splits = _json_lists(path)
    if not splits:
        raise ValueError(f"{path}: no split in it; see mapkd_core/data/nuscenes/splits.py for the files that are read")
    _check(splits, path)
    return splits


def _lines(path: Path) -> tuple[str, ...]:
    return tuple(line.strip() for line in path.read_text().splitlines() if line.strip())


def _json_lists(path: Path) -> Splits:
    try:
        content: Any = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: no JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: a {type(content).__name__}; want an object, split name -> list of scene names")
    return {name: tuple(map(str, scenes)) for name, scenes in content.items() if isinstance(scenes, list)}


def _python_lists(path: Path) -> Splits:
    """Top-level assignments of lists of strings; TRAIN_SCENES becomes train."""
    try:
        tree = ast.parse(path.read_text())
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{path}: no Python ({error})") from error
    splits: Splits = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.List):
            try:
                scenes = ast.literal_eval(node.value)
            except ValueError as error:
                raise ValueError(f"{path}, line {node.lineno}: not a plain list ({error})") from error
            splits[node.targets[0].id.lower().removesuffix("_scenes")] = tuple(map(str, scenes))
    return splits


def _check(splits: Splits, path: Path) -> None:
    """A scene has one split; StreamMapNet's `calibration` alone is a part of its train."""
    seen: dict[str, str] = {}
    for split, scenes in splits.items():
        for scene in scenes:
            if not scene or any(sign.isspace() for sign in scene) or len(scene) == 32:
                raise ValueError(f"{path}: {scene[:40]!r} in {split!r} is no scene name; lists of samples are not read")
            if scene in seen and {seen[scene], split} != {"train", "calibration"}:
                raise ValueError(f"{path}: {scene} is in {seen[scene]!r} and in {split!r}; a scene has one split")
            seen[scene] = split
