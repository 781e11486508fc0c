# SPDX-License-Identifier: Apache-2.0
"""A folder of training samples from one split of a nuScenes dataset: aside, resumable by scene, and then renamed.

Files are those of rendered sets (`data.samples`), one world a scene; the manifest says what they were made from.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from mapkd_core import processes
from mapkd_core.data import set_manifest
from mapkd_core.data.nuscenes.dataset import NuScenesSet
from mapkd_core.data.nuscenes.excerpt import Excerpt
from mapkd_core.data.nuscenes.scene_samples import Recipe, scene_samples
from mapkd_core.data.samples import SampleFolder, write
from mapkd_core.writing import write_json

BEGUN = "set.json"  # what an unfinished set is to become


def write_samples(
    out: Path, dataset: NuScenesSet, scenes: Sequence[str], recipe: Recipe, told: dict[str, Any],
    workers: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write `scenes` to `out`; returns the manifest. told: where the scenes come from, for the manifest.

    A whole set of the same recipe is verified and kept; of an interrupted one, `.NAME.partial`, its scenes are kept.
    Raises ValueError where either was made from something else.
    """
    asked = json.loads(json.dumps(told | _described(dataset, recipe) | {"scenes": list(scenes)}))
    if out.exists():
        return _kept(out, asked)
    aside = out.with_name(f".{out.name}.partial")
    _begin(aside, asked)
    todo = [scene for scene in scenes if not (aside / f"{scene}.truth.npz").is_file()]
    progress = partial(tqdm, total=len(todo), desc=f"scenes for {out.name}", unit="scene")
    for _ in progress(_written(aside, dataset, todo, recipe, workers)):
        pass
    samples = SampleFolder(aside)
    manifest = asked | {"frames": len(samples), "modalities": sorted(samples.modalities)}
    write_json(aside / set_manifest.NAME, manifest | {"files": set_manifest.hashes(aside)})
    (aside / BEGUN).unlink()
    aside.rename(out)
    return set_manifest.read(out) or {}


def _described(dataset: NuScenesSet, recipe: Recipe) -> dict[str, Any]:
    model = recipe.model
    return {
        "name": "nuscenes-samples", "version": dataset.version,
        "digest": dataset.manifest.digest if dataset.manifest else None,
        "rules": recipe.rules, "reach_m": list(recipe.reach.bounds), "classes": list(model.classes),
        "pictures": [model.image_height, model.image_width], "sweeps": recipe.sweeps,
        "sd": {city: [path.name, set_manifest.hash_of(path)] for city, path in recipe.sd.items()}, "hd": recipe.hd,
    }  # fmt: skip


def _kept(out: Path, asked: dict[str, Any]) -> dict[str, Any]:
    found = set_manifest.read(out)
    if found is None or "scenes" not in found:
        raise ValueError(f"{out} exists and is no set of `mapkd nuscenes samples`; choose another --out")
    _compare(out, found, asked)
    set_manifest.verify(out, found["files"], f"remove {out} and write it again")
    return found


def _begin(aside: Path, asked: dict[str, Any]) -> None:
    mark = aside / BEGUN
    if mark.is_file():
        _compare(aside, json.loads(mark.read_text()), asked)
    elif aside.exists() and not (aside / set_manifest.NAME).is_file():
        raise ValueError(f"{aside} is in the way and is not of `mapkd nuscenes samples`; remove it")
    write_json(mark, asked)


def _compare(folder: Path, found: dict[str, Any], asked: dict[str, Any]) -> None:
    for name, value in asked.items():
        if found.get(name) != value:
            raise ValueError(
                f"{folder} was made with {name} = {_short(found.get(name))}, now it is {_short(value)}; remove it, or "
                "choose another --out"
            )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) < 80 else f"{text[:76]} ..."


def _written(
    aside: Path, dataset: NuScenesSet, scenes: Sequence[str], recipe: Recipe, workers: int | None
) -> Iterator[str]:
    """Names of scenes as they are done. Workers get the records of a scene, not gigabytes of tables."""
    count = min(workers or os.cpu_count() or 1, max(len(scenes), 1))
    if count == 1:
        yield from (_write_scene(dataset, scene, aside, recipe) for scene in scenes)
        return
    # By city, so that a worker reads few maps.
    jobs = ((scene, dataset.excerpt(scene, recipe.sweeps)) for scene in sorted(scenes, key=dataset.location))
    work = partial(_work, root=dataset.root, version=dataset.version, aside=aside, recipe=recipe)
    with processes.workers(count) as pool:
        yield from processes.as_done(pool, work, jobs, waiting=2 * count)


def _work(job: tuple[str, Excerpt], root: Path, version: str, aside: Path, recipe: Recipe) -> str:
    cv2.setNumThreads(1)
    return _write_scene(_without_tables(root, version).over(job[1]), job[0], aside, recipe)


@lru_cache(maxsize=1)
def _without_tables(root: Path, version: str) -> NuScenesSet:
    """Once a process, since it keeps the maps."""
    return NuScenesSet(root, version, tables=Excerpt())


def _write_scene(dataset: NuScenesSet, scene: str, aside: Path, recipe: Recipe) -> str:
    write(aside, scene, scene_samples(dataset, scene, recipe), recipe.reach)
    return scene
