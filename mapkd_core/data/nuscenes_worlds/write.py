# SPDX-License-Identifier: Apache-2.0
"""Write a whole set: aside, resumable by scene, and renamed when its manifest is complete."""

from __future__ import annotations

import json
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from mapkd_core import processes
from mapkd_core.data.nuscenes import manifest
from mapkd_core.data.nuscenes.manifest import Manifest
from mapkd_core.data.nuscenes_worlds.assemble import assemble
from mapkd_core.data.nuscenes_worlds.recipe import Recipe
from mapkd_core.data.nuscenes_worlds.scene import write_scene
from mapkd_core.writing import write_json

PARTS = ".parts"
RECIPE = ".recipe.json"


def write_set(out: Path, recipe: Recipe, workers: int | None = None) -> Manifest:
    """The set at `out`, made from `recipe`; one that is there already from the same recipe is verified and kept.

    An interrupted call leaves `.NAME.partial` beside `out`; the next call goes on with it, scene by scene. Raises
    ValueError where `out` or the partial folder holds something else.
    """
    if out.exists():
        return _kept(out, recipe)
    aside = out.with_name(f".{out.name}.partial")
    _begin(aside, recipe)
    todo = [i for i in range(len(recipe.worlds)) if not _part(aside, i).is_file()]
    count = min(workers or os.cpu_count() or 1, max(len(todo), 1))
    make = partial(_write_part, aside=aside, recipe=recipe)
    progress = partial(tqdm, total=len(todo), desc=f"scenes for {out.name}", unit="scene")
    if count == 1:
        for _ in progress(map(make, todo)):
            pass
    else:
        with processes.workers(count) as pool:
            for _ in progress(pool.map(make, todo)):
                pass
    parts = [json.loads(_part(aside, i).read_text()) for i in range(len(recipe.worlds))]
    facts = assemble(aside, recipe.version, parts)
    names = [str(path.relative_to(aside)) for path in aside.rglob("*") if path.is_file()]
    names = [name for name in names if name != RECIPE and not name.startswith(f"{PARTS}/") and name != manifest.NAME]
    manifest.write(aside, recipe.as_dict(), facts, names)
    aside.rename(out)
    _tidy(out)
    found = manifest.read(out)
    assert found is not None
    return found


def _kept(out: Path, recipe: Recipe) -> Manifest:
    found = manifest.read(out)
    if found is None:
        raise ValueError(f"{out} exists and was not written by mapkd; choose another path")
    if found.recipe != json.loads(json.dumps(recipe.as_dict())):
        raise ValueError(f"{out} exists and was made from another recipe; remove it or choose another path")
    found.verify()
    _tidy(out)
    return found


def _begin(aside: Path, recipe: Recipe) -> None:
    text = json.dumps(recipe.as_dict(), indent=1)
    written = aside / RECIPE
    if aside.exists() and (not written.is_file() or written.read_text() != text):
        raise ValueError(f"{aside} is left from an interrupted run with another recipe; remove it")
    (aside / PARTS).mkdir(parents=True, exist_ok=True)
    written.write_text(text)


def _write_part(number: int, aside: Path, recipe: Recipe) -> None:
    cv2.setNumThreads(1)
    content: dict[str, Any] = write_scene(aside, recipe.worlds[number], number, recipe)
    write_json(_part(aside, number), content, indent=None)


def _part(aside: Path, number: int) -> Path:
    return aside / PARTS / f"{number:05d}.json"


def _tidy(out: Path) -> None:
    """What only an unfinished set needs; of no harm where an interruption leaves it."""
    shutil.rmtree(out / PARTS, ignore_errors=True)
    (out / RECIPE).unlink(missing_ok=True)
