# SPDX-License-Identifier: Apache-2.0
"""A fleet's logs, mapped: every bag becomes a file of vector maps, a bag a process, on all cores.

Frames are made as the live node makes them: grouped around the anchor camera, JPEGs decoded no larger than the network
needs, predicted by `Mapper`. A bag's file comes last and says what it was made with, so that a run that was broken off
goes on where it was, and a bag that is there already is not mapped again unless it or the settings have changed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from mapkd_core import processes
from mapkd_core.bags.grouping import evenly
from mapkd_core.bags.read import BagDrive
from mapkd_core.data.reduced import reduction_for
from mapkd_core.evaluation.map_files.maps import write_maps
from mapkd_core.mapper import SHIPPED, Mapper
from mapkd_core.training.checkpoint import read_card
from mapkd_core.types import LocalMap, MapElement


@dataclass(frozen=True)
class BagMaps:
    """out: folder of the maps. vectors, min_confidence: as of `Mapper`. frames: at most so many a bag, evenly spread.

    is_reduced: JPEGs are decoded no larger than the network needs. calibration: file for bags that lack it.
    raster: "npz" (probability K Y X uint8, observed Y X, stamp, classes, range), "png" (a picture of the map), or none.
    """

    out: Path
    weights: Path | None = None
    backend: str = "auto"
    vectors: str = "auto"
    min_confidence: float | None = None
    frames: int | None = None
    is_reduced: bool = True
    calibration: Path | None = None
    raster: str = ""


class Mapped(NamedTuple):
    """One bag: its name, frames with a map and polylines on them, frames left out as no camera had a usable picture.

    is_new: False where an earlier run had mapped it. problem: why there is no map; empty where there is one.
    """

    name: str
    frames: int = 0
    elements: int = 0
    without_picture: int = 0
    is_new: bool = True
    problem: str = ""


def map_bags(bags: dict[str, Path], how: BagMaps, workers: int | None = None) -> Iterator[Mapped]:
    """What became of every bag, in their order; a bag that cannot be read does not stop the others.

    bags: name -> bag, the name is the file's. workers: processes, one per core by default; 1 stays in this process.
    """
    if workers == 1 or len(bags) < 2:
        yield from (map_bag(name, path, how) for name, path in bags.items())
        return
    with processes.workers(workers, at_most=len(bags)) as pool:
        yield from pool.map(partial(map_bag, how=how), bags, bags.values())


def map_bag(name: str, path: Path, how: BagMaps) -> Mapped:
    """One bag in this process, on one thread; an error of reading or writing is told in `problem`."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        question = asked(path, how)
        return _finished(name, how, question) or _mapped(name, path, how, question)
    except (ValueError, OSError, RuntimeError) as error:
        return Mapped(name, is_new=False, problem=" ".join(str(error).split()) or type(error).__name__)


def asked(path: Path, how: BagMaps) -> dict[str, Any]:
    """What decides the maps of a bag, JSON-ready: stands in its file, so that no other answer is taken for it."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    names = ("backend", "vectors", "min_confidence", "frames", "is_reduced", "raster")
    return {name: getattr(how, name) for name in names} | {
        "bag_bytes": sum(file.stat().st_size for file in files if file.is_file()),
        "calibration": how.calibration.read_text() if how.calibration else None,
        "sha256": read_card(how.weights or SHIPPED)["sha256"],
    }


def _finished(name: str, how: BagMaps, question: dict[str, Any]) -> Mapped | None:
    """What an earlier run has made of the same bag in the same way; None where it has not."""
    try:
        content = json.loads(how.out.joinpath(f"{name}.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(content, dict) or content.get("made_with") != question:
        return None
    if how.raster and not how.out.joinpath(f"{name}.rasters").is_dir():
        return None
    frames = content["frames"].values()
    return Mapped(name, len(frames), sum(map(len, frames)), content["without_picture"], is_new=False)


def _mapped(name: str, path: Path, how: BagMaps, question: dict[str, Any]) -> Mapped:
    mapper = _mapper(how.weights, how.backend, how.vectors, how.min_confidence)
    frames: dict[str, tuple[MapElement, ...]] = {}
    unfinished, without_picture = how.out / f".{name}.rasters.part", 0
    shutil.rmtree(unfinished, ignore_errors=True)
    reduction = reduction_for(mapper.config, how.is_reduced, mapper.device)
    with BagDrive(path, how.calibration, reduction=reduction) as drive:
        stamps = drive.survey.stamps_ns[drive.dialect.cameras[drive.anchor].image.name]
        for frame in drive.frames(evenly(stamps, how.frames)):
            if all(camera.image is None for camera in frame.cameras):
                without_picture += 1
                continue
            found = mapper.predict(frame)
            frames[f"{name}-{frame.stamp_ns}"] = found.elements
            if how.raster:
                _write_raster(unfinished / f"{frame.stamp_ns}.{how.raster}", found)
    if not frames:
        raise ValueError(f"bag {path} gave no map: {without_picture} frames, none with a usable picture")
    _replace(unfinished, how.out / f"{name}.rasters")
    notes = {"made_with": question, "without_picture": without_picture}
    write_maps(how.out / f"{name}.json", frames, {name: list(frames)}, notes=notes)
    return Mapped(name, len(frames), sum(map(len, frames.values())), without_picture)


def _write_raster(path: Path, found: LocalMap) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        from mapkd_core.drawing.bev import map_panel

        _, data = cv2.imencode(".png", map_panel(found, str(found.stamp_ns))[..., ::-1])
        path.write_bytes(bytes(data))
        return
    assert found.probability is not None and found.observed is not None  # as in every map that a Mapper makes
    np.savez_compressed(
        path, probability=found.probability, observed=found.observed, stamp_ns=np.int64(found.stamp_ns),
        classes=np.array(found.classes), range_m=np.array(found.grid.bounds), cell_m=found.grid.cell,
    )  # fmt: skip


def _replace(made: Path, folder: Path) -> None:
    """`folder` becomes what was made; rasters of another run go, so that the two never mix."""
    shutil.rmtree(folder, ignore_errors=True)
    if made.is_dir():
        made.rename(folder)


@lru_cache(maxsize=1)
def _mapper(weights: Path | None, backend: str, vectors: str, min_confidence: float | None) -> Mapper:
    return Mapper(weights, backend, vectors=vectors, min_confidence=min_confidence, threads=1)
