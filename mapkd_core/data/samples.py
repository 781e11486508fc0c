# SPDX-License-Identifier: Apache-2.0
"""Prepared frames with their truth on disk: a few files a world, so that many processes can write and read.

`<name>.images.npy` F N 3 H W uint8 and, where there is a LiDAR, `<name>.points.npy` P 5 int16 are mapped, not loaded.
`<name>.truth.npz` holds K F N 3 3, ego_T_camera F N 4 4, how many points each frame has, and the elements of truth,
SD and HD prior as flat lists (`element_lists`), and where they are known the light of the world and, in bits, which
ground the cameras see. It is written last: a world without it is not there. How far truth reaches is told there, too,
by sets that are not rendered, and which classes it tells of where it does not of all. No pickles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data import element_lists
from mapkd_core.data.layers import REACH as LAYER_REACH
from mapkd_core.data.layers import LayerTruth
from mapkd_core.data.prepare import Prepared
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, MapElement
from mapkd_core.worlds.relief import FLAT, Relief
from mapkd_core.writing import aside

# Rendered truth reaches farther than the network's range, so that training can turn and shift the ego frame.
TRUTH_GRID = BevGrid(-39.0, 39.0, -24.0, 24.0, 0.15)
SEEN_GRID = BevGrid(-39.0, 39.0, -24.0, 24.0, 0.5)  # the same range

POINT_STEPS = np.array((0.005, 0.005, 0.005, 1.0, 0.001), np.float32)  # m m m, intensity, s: one step of the int16


@dataclass(frozen=True)
class Sample:
    """One frame: the network's input and its truth in ego metres, clipped to the set's reach, by default TRUTH_GRID.

    points: P x 5 float32 x y z (ego m), intensity 0..255, seconds from the frame's time; None without LiDAR.
    sd, hd: map priors as elements, for teachers; empty where there are none.
    light: of the world, such as "night"; empty where unknown. seen: Y X bool on SEEN_GRID, ground that some camera sees
    and nothing hides; None where unknown.
    relief: the ground's height in the ego frame, which lies tangent on it; truth is told as seen from above.
    layers: of those that may overlap, for networks of layers; None where they were not asked for.
    labelled: the classes that `elements` tells of; of the others nothing is known, and no score may count them.
    """

    prepared: Prepared
    elements: tuple[MapElement, ...]
    points: NDArray[np.float32] | None = None
    sd: tuple[MapElement, ...] = ()
    hd: tuple[MapElement, ...] = ()
    light: str = ""
    seen: NDArray[np.bool_] | None = None
    relief: Relief = FLAT
    layers: LayerTruth | None = None
    labelled: tuple[str, ...] = CLASSES


def write(folder: Path, name: str, samples: Sequence[Sample], reach: BevGrid | None = None) -> None:
    """Write the frames of one world; a reader sees all of it or nothing.

    reach: rectangle that truth, layers and priors were cut to; None for rendered sets, which do not tell it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    truth: dict[str, Any] = {
        "K": np.stack([s.prepared.K for s in samples]),
        "ego_T_camera": np.stack([s.prepared.ego_T_camera for s in samples]),
        **element_lists.pack([s.elements for s in samples]),
        **element_lists.pack([s.sd for s in samples], "sd_"),
        **element_lists.pack([s.hd for s in samples], "hd_"),
        "light": np.array([s.light for s in samples]),
        "relief_waves": np.stack([s.relief.waves for s in samples]),
        "relief_plane": np.stack([s.relief.plane for s in samples]),
    }
    if reach is not None:
        truth["reach"] = np.array([*reach.bounds, reach.cell])
    masks = [s.seen for s in samples if s.seen is not None]
    if len(masks) == len(samples):
        truth["seen"] = np.stack([np.packbits(mask) for mask in masks])
    told = [s.layers for s in samples if s.layers is not None]
    if len(told) == len(samples):
        truth |= element_lists.pack([each.elements for each in told], "layer_")
        truth["layers_known"] = np.array([",".join(each.known) for each in told])
    if any(s.labelled != CLASSES for s in samples):
        truth["labelled"] = np.array([",".join(s.labelled) for s in samples])
    _save(folder / f"{name}.images.npy", np.stack([s.prepared.images for s in samples]))
    clouds = [s.points for s in samples if s.points is not None]
    if clouds:
        if len(clouds) < len(samples):
            raise ValueError(f"world {name}: {len(clouds)} of {len(samples)} frames have points; want all or none")
        _save(folder / f"{name}.points.npy", np.concatenate([_to_steps(cloud) for cloud in clouds]))
        truth["point_counts"] = np.array([len(cloud) for cloud in clouds], np.int64)
    last = folder / f"{name}.truth.npz"
    with aside(last) as unfinished, unfinished.open("wb") as file:
        np.savez(file, **truth)


class SampleFolder:
    """Random access to all frames of a folder, in the order of the files' names.

    Raises FileNotFoundError for a folder without samples, and ValueError where its worlds do not reach equally far.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.names = sorted(p.name.removesuffix(".truth.npz") for p in self.folder.glob("*.truth.npz"))
        if not self.names:
            raise FileNotFoundError(f"{folder} holds no samples; make some with `mapkd dataset --out {folder}`")
        self._truth = [dict(np.load(self.folder / f"{n}.truth.npz", allow_pickle=False)) for n in self.names]
        for name, truth in zip(self.names, self._truth, strict=True):
            for part in ("images", "points") if "point_counts" in truth else ("images",):
                self._check(self.folder / f"{name}.{part}.npy")
        self._reach = self._stated_reach()
        self.index = [(w, f) for w, t in enumerate(self._truth) for f in range(len(t["counts"]))]

    def __len__(self) -> int:
        return len(self.index)

    def token(self, i: int) -> str:
        """Names sample i: its world and its number there."""
        world, frame = self.index[i]
        return f"{self.names[world]}-{frame}"

    def __getitem__(self, i: int) -> Sample:
        world, frame = self.index[i]
        truth = self._truth[world]
        images = np.array(self._mapped(world, "images")[frame])
        prepared = Prepared(images, truth["K"][frame], truth["ego_T_camera"][frame], np.ones(len(images), bool))
        elements, sd, hd = (element_lists.unpack(truth, frame, prefix) for prefix in ("", "sd_", "hd_"))
        light, seen = str(truth["light"][frame]) if "light" in truth else "", None
        if "seen" in truth:
            bits = np.unpackbits(truth["seen"][frame], count=math.prod(SEEN_GRID.shape))
            seen = bits.astype(bool).reshape(SEEN_GRID.shape)
        relief = FLAT  # as it was in files that do not tell it
        if "relief_waves" in truth:
            relief = Relief(truth["relief_waves"][frame], truth["relief_plane"][frame])
        layers = None
        if "layers_known" in truth:
            known = tuple(name for name in str(truth["layers_known"][frame]).split(",") if name)
            layers = LayerTruth(element_lists.unpack(truth, frame, "layer_"), known)
        points, labelled = self._cloud(world, frame), self.labelled(i)
        return Sample(prepared, elements, points, sd, hd, light, seen, relief, layers, labelled)

    @property
    def modalities(self) -> set[str]:
        """What some frame has: camera, and of lidar, sd and hd what is there."""
        priors = {name for name in ("sd", "hd") if any(t.get(f"{name}_counts", np.zeros(1)).any() for t in self._truth)}
        return {"camera", *priors} | ({"lidar"} if any("point_counts" in t for t in self._truth) else set())

    @property
    def picture_size(self) -> tuple[int, int]:
        """Height and width of the pictures, of the first world."""
        height, width = self._mapped(0, "images").shape[-2:]
        return height, width

    def reach(self, of_layers: bool = False) -> BevGrid:
        """The rectangle that truth was cut to: of lines, or of layers (`data.layers`), where rendered sets differ."""
        if self._reach is not None:
            return self._reach
        return LAYER_REACH if of_layers else TRUTH_GRID

    def labelled(self, i: int) -> tuple[str, ...]:
        """The classes that the truth of frame i tells of, without reading its pictures."""
        world, frame = self.index[i]
        told = self._truth[world].get("labelled")
        return CLASSES if told is None else tuple(name for name in str(told[frame]).split(",") if name)

    def elements(self, i: int) -> tuple[MapElement, ...]:
        """The truth of frame i, without reading its pictures."""
        world, frame = self.index[i]
        return element_lists.unpack(self._truth[world], frame)

    def _cloud(self, world: int, frame: int) -> NDArray[np.float32] | None:
        if "point_counts" not in self._truth[world]:
            return None
        stored, counts = self._mapped(world, "points"), self._truth[world]["point_counts"]
        first = int(counts[:frame].sum())
        return stored[first : first + int(counts[frame])].astype(np.float32) * POINT_STEPS

    def _mapped(self, world: int, part: str) -> NDArray[Any]:
        """Mapped anew each time: thousands of worlds kept open would be more files than a process may have."""
        array: NDArray[Any] = np.load(self.folder / f"{self.names[world]}.{part}.npy", mmap_mode="r")
        return array

    def _stated_reach(self) -> BevGrid | None:
        """None where it is not told."""
        told = {tuple(t["reach"].tolist()) if "reach" in t else () for t in self._truth}
        if len(told) > 1:
            one, other, *_ = sorted(told)
            raise ValueError(f"{self.folder} mixes worlds whose truth reaches {one or 'as rendered'} and {other} "
                             "(x y, x y, cell in m): keep each set in a folder of its own")  # fmt: skip
        x_min, y_min, x_max, y_max, cell = next(iter(told)) or (0.0,) * 5
        return BevGrid(x_min, x_max, y_min, y_max, cell) if cell else None

    @staticmethod
    def _check(path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing beside its truth; make the set again")


def _to_steps(points: NDArray[np.float32]) -> NDArray[np.int16]:
    limits = np.iinfo(np.int16)
    return np.clip(np.round(points / POINT_STEPS), limits.min, limits.max).astype(np.int16)


def _save(path: Path, array: NDArray[Any]) -> None:
    with aside(path) as unfinished, unfinished.open("wb") as file:
        np.save(file, array)
