# SPDX-License-Identifier: Apache-2.0
"""What `mapkd view` can look at, behind one interface: samples, a frame folder, a bag, a nuScenes-format dataset."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from mapkd_core.geometry import apply_planar, inverse
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, SD_CLASS, Frame, MapElement
from mapkd_core.worlds.relief import FLAT, Relief

if TYPE_CHECKING:
    from mapkd_core.bags.read import BagDrive

log = logging.getLogger(__name__)
_WINDOW = BevGrid(-60.0, 60.0, -30.0, 30.0, 0.3)
PRIOR_CLASSES = (*CLASSES, SD_CLASS)  # a navigation map knows roads, an HD map what is predicted


class Shown(NamedTuple):
    """world, number: where it comes from. truth: in the ego frame, reaching as far as the source has it; None without.

    labelled: the classes that the truth speaks about. priors: name -> elements of a map from before the drive.
    relief: the ground in the ego frame, on which the truth lies in the images.
    """

    world: str
    number: int
    frame: Frame
    truth: tuple[MapElement, ...] | None
    labelled: tuple[str, ...] = CLASSES
    priors: dict[str, tuple[MapElement, ...]] = {}  # noqa: RUF012  # never written to
    relief: Relief = FLAT

    @property
    def token(self) -> str:
        """Names the frame, in files of priors and of pictures."""
        return f"{self.world}-{self.number}"


class Source(Protocol):
    """Frames by number."""

    def __len__(self) -> int: ...

    def shown(self, numbers: Sequence[int]) -> Iterator[Shown]:
        """The frames of these numbers, in rising order."""
        ...


def open_source(
    path: Path, scene: str | None = None, version: str | None = None, extract: Path | None = None
) -> Source:
    """Told by what lies there; FileNotFoundError or ValueError where it is none of what is known.

    scene, version: of a nuScenes root. extract: of OpenStreetMap (GeoJSON or OSM XML), for the roads around its frames.
    """
    is_dataset = bool(scene or version or extract) or next(iter(path.glob("*/scene.json")), None) is not None
    if (path / "frame.json").is_file():
        return _FolderSource(path)
    if path.suffix in (".mcap", ".db3", ".bag") or (path / "metadata.yaml").is_file():
        return _BagSource(path)
    if is_dataset:
        return _DatasetSource(path, scene, version, extract)
    return _SampleSource(path)


class _SampleSource:
    def __init__(self, path: Path) -> None:
        from mapkd_core.data.samples import SampleFolder

        self._samples = SampleFolder(path)

    def __len__(self) -> int:
        return len(self._samples)

    def shown(self, numbers: Sequence[int]) -> Iterator[Shown]:
        from mapkd_core.evaluation.rendered import sample_frame

        for i in numbers:
            world, number = self._samples.index[i]
            sample = self._samples[i]
            frame = replace(sample_frame(sample), points=sample.points)
            priors = {name: lines for name, lines in (("sd", sample.sd), ("hd", sample.hd)) if lines}
            yield Shown(self._samples.names[world], number, frame, sample.elements, CLASSES, priors, sample.relief)


class _FolderSource:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __len__(self) -> int:
        return 1

    def shown(self, numbers: Sequence[int]) -> Iterator[Shown]:
        from mapkd_core.data.calibration import read_mapping
        from mapkd_core.data.frame_folder import read_frame_folder

        found = read_frame_folder(self._path)
        priors = _priors(read_mapping(self._path / "frame.json"), str(self._path / "frame.json"))
        truth = found.elements if found.labelled else None
        yield Shown(found.name, 0, found.frame, truth, found.labelled, priors)


class _BagSource:
    def __init__(self, path: Path) -> None:
        from mapkd_core.bags.read import BagDrive

        self._path = path
        with BagDrive(path) as drive:
            for problem in drive.problems:  # such as an end that is missing
                log.warning("%s", problem)
            self._count = len(set(drive.survey.stamps_ns[drive.dialect.cameras[drive.anchor].image.name]))

    def __len__(self) -> int:
        return self._count

    def shown(self, numbers: Sequence[int]) -> Iterator[Shown]:
        from mapkd_core.bags.read import BagDrive

        drive: BagDrive
        with BagDrive(self._path) as drive:
            truths, priors, wanted = drive.truth(), drive.priors(), set(numbers)
            for number, frame in enumerate(drive.frames()):
                if number in wanted:
                    truth = truths.get(frame.stamp_ns)
                    known = (None, CLASSES) if truth is None else (truth.elements, truth.labelled)
                    yield Shown(self._path.stem, number, frame, *known, _around(priors, frame))


class _DatasetSource:
    """Key frames of a scene, or of all scenes."""

    def __init__(self, root: Path, scene: str | None, version: str | None, extract: Path | None) -> None:
        from mapkd_core.data.nuscenes import NuScenesSet

        self._dataset, self._extract = NuScenesSet(root, version), extract
        scenes = (scene,) if scene else self._dataset.scene_names
        self._tokens = [(name, i, t) for name in scenes for i, t in enumerate(self._dataset.sample_tokens(name))]

    def __len__(self) -> int:
        return len(self._tokens)

    def shown(self, numbers: Sequence[int]) -> Iterator[Shown]:
        for i in numbers:
            scene, number, token = self._tokens[i]
            truth, frame = self._dataset.truth(token, _WINDOW), self._dataset.frame(token)
            priors = {}
            if self._extract or self._dataset.has_sd_roads(scene):
                priors = {"sd": self._dataset.sd_prior(token, _WINDOW, self._extract)}
            yield Shown(scene, number, frame, truth, self._dataset.labelled(scene), priors)


def _around(priors: dict[str, tuple[MapElement, ...]], frame: Frame) -> dict[str, tuple[MapElement, ...]]:
    """Priors of a bag's odometry frame, moved into the frame's ego and cut to what a map shows."""
    from mapkd_core.data.clipping import clip

    if frame.odom_T_ego is None:
        return {}
    ego_T_odom = inverse(frame.odom_T_ego)
    moved = {k: [replace(e, vertices_m=apply_planar(ego_T_odom, e.vertices_m)) for e in v] for k, v in priors.items()}
    return {kind: tuple(part for e in lines for part in clip(e, _WINDOW)) for kind, lines in moved.items()}


def read_priors(path: Path, token: str) -> tuple[MapElement, ...]:
    """The elements of one frame in a file of maps (docs/metrics.md); ValueError where it does not have the frame."""
    from mapkd_core.evaluation.map_files import read_maps

    frames = read_maps(path, with_score=False, classes=PRIOR_CLASSES).frames
    if token not in frames:
        raise ValueError(f"{path} has no frame {token!r}; it has {', '.join(list(frames)[:4])}, ...")
    return frames[token]


def _priors(content: dict[str, Any], where: str) -> dict[str, tuple[MapElement, ...]]:
    """Keys `sd_...` and `hd_...` of a frame.json: lists of {type, pts}."""
    from mapkd_core.data.calibration import numbers, require

    priors: dict[str, tuple[MapElement, ...]] = {}
    for key in sorted(content):
        if key.startswith(("sd_", "hd_")):
            entries = enumerate(content[key])
            lines = [numbers(require(e, "pts", f"{where}: {key}[{i}]"), f"{where}: {key}[{i}].pts") for i, e in entries]
            priors[key[:2]] = tuple(MapElement(SD_CLASS, np.reshape(line, (-1, 2))) for line in lines)
    return priors
