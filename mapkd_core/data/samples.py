# SPDX-License-Identifier: Apache-2.0
"""Prepared frames with their truth on disk: one pair of files a world, so that many processes can write and read.

`<name>.images.npy` F N 3 H W uint8, mapped and not loaded; `<name>.truth.npz` K F N 3 3, ego_T_camera F N 4 4, and the
elements of all frames one after the other (vertices, lengths, classes, closed, elements per frame). No pickles.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.prepare import Prepared
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, MapElement

# Truth reaches farther than the network's range, so that training can turn and shift the ego frame.
TRUTH_GRID = BevGrid(-39.0, 39.0, -24.0, 24.0, 0.15)


@dataclass(frozen=True)
class Sample:
    """One frame: the network's input and its truth in ego metres, clipped to TRUTH_GRID."""

    prepared: Prepared
    elements: tuple[MapElement, ...]


def write(folder: Path, name: str, samples: Sequence[Sample]) -> None:
    """Write the frames of one world; a reader sees all of it or nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    elements = [e for s in samples for e in s.elements]
    truth = {
        "K": np.stack([s.prepared.K for s in samples]),
        "ego_T_camera": np.stack([s.prepared.ego_T_camera for s in samples]),
        "vertices": np.concatenate(
            [np.asarray(e.vertices_m, np.float32) for e in elements] or [np.zeros((0, 2), np.float32)]
        ),
        "lengths": np.array([len(e.vertices_m) for e in elements], np.int32),
        "classes": np.array([CLASSES.index(e.class_name) for e in elements], np.uint8),
        "closed": np.array([e.is_closed for e in elements], bool),
        "counts": np.array([len(s.elements) for s in samples], np.int32),
    }
    images = np.stack([s.prepared.images for s in samples])
    parts = [folder / f"{name}.images.npy", folder / f"{name}.truth.npz"]
    with _aside(parts[0]).open("wb") as file:
        np.save(file, images)
    with _aside(parts[1]).open("wb") as file:
        np.savez(file, **truth)
    for part in parts:
        os.replace(_aside(part), part)


class SampleFolder:
    """Random access to all frames of a folder, in the order of the files' names.

    Raises FileNotFoundError for a folder without samples.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.names = sorted(p.name.removesuffix(".truth.npz") for p in self.folder.glob("*.truth.npz"))
        if not self.names:
            raise FileNotFoundError(f"{folder} holds no samples; make some with `mapkd dataset --out {folder}`")
        self._truth = [dict(np.load(self.folder / f"{n}.truth.npz", allow_pickle=False)) for n in self.names]
        self._images = [np.load(self.folder / f"{n}.images.npy", mmap_mode="r") for n in self.names]
        self.index = [(w, f) for w, t in enumerate(self._truth) for f in range(len(t["counts"]))]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> Sample:
        world, frame = self.index[i]
        truth = self._truth[world]
        images = np.array(self._images[world][frame])
        valid = np.ones(len(images), bool)
        return Sample(Prepared(images, truth["K"][frame], truth["ego_T_camera"][frame], valid), _elements(truth, frame))


def _elements(truth: dict[str, NDArray], frame: int) -> tuple[MapElement, ...]:
    first = int(truth["counts"][:frame].sum())
    last = first + int(truth["counts"][frame])
    start = int(truth["lengths"][:first].sum())
    elements = []
    for i in range(first, last):
        end = start + int(truth["lengths"][i])
        vertices = truth["vertices"][start:end]
        elements.append(MapElement(CLASSES[truth["classes"][i]], vertices, bool(truth["closed"][i])))
        start = end
    return tuple(elements)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")
