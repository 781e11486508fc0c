# SPDX-License-Identifier: Apache-2.0
"""NuScenesSet: samples of a nuScenes dataset as `Frame`, with their map vectors as truth."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.layers import LayerTruth
from mapkd_core.data.nuscenes import devkit, manifest, sensors
from mapkd_core.data.nuscenes.excerpt import Excerpt, excerpt
from mapkd_core.data.nuscenes.layer_truth import layer_truth
from mapkd_core.data.nuscenes.map_layers import MapLayers
from mapkd_core.data.nuscenes.rules import map_vectors
from mapkd_core.data.nuscenes.splits import scenes_of
from mapkd_core.data.reduced import Reduction, whole
from mapkd_core.data.sd_map import SdRoad, read_sd_map, sd_elements
from mapkd_core.geometry import planar
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, LAYERS, Frame, MapElement
from mapkd_core.worlds.rig import nuscenes_rig

WRITTEN_LAYERS = ("drivable_area", "ped_crossing", "divider")  # that maps of `mapkd nuscenes write` have
CAMERA_ORDER = tuple(camera.name for camera in nuscenes_rig())


class NuScenesSet:
    """A dataset folder with one version of its tables.

    version: folder of the tables, such as v1.0-trainval; may be left out where there is one only. A set written by
    `mapkd nuscenes write` is checked against its manifest: tables and maps here, pictures and sweeps when read.
    tables: what is read already, of a set that was opened and checked elsewhere (see `over`).
    Raises FileNotFoundError and ValueError with the file and the remedy, also later, for what is read then.
    """

    def __init__(self, root: Path | str, version: str | None = None, tables: Any = None) -> None:
        self.root = Path(root)
        self.version = version or devkit.find_version(self.root)
        self.manifest = manifest.read(self.root)
        if self.manifest and tables is None:
            self.manifest.verify(lambda name: not name.startswith(("samples/", "sweeps/")))
        self.tables = devkit.open_tables(self.root, self.version) if tables is None else tables
        self._scenes = {scene["name"]: scene for scene in self.tables.scene}
        self._layers = lru_cache(maxsize=None)(self._read_layers)
        self._sd_roads = lru_cache(maxsize=8)(read_sd_map)

    def excerpt(self, scene: str, sweeps: int = 1) -> Excerpt:
        """The scene's records, for `over` in another process; `sweeps` turns of the LiDAR a sample."""
        return excerpt(self.tables, self._scenes[scene], sweeps)

    def over(self, tables: Excerpt) -> NuScenesSet:
        """The same set with these tables; maps that were read are shared."""
        other = copy.copy(self)
        other.tables, other._scenes = tables, {scene["name"]: scene for scene in tables.scene}
        other.__dict__.pop("scene_names", None)
        return other

    @cached_property
    def scene_names(self) -> tuple[str, ...]:
        """All scenes, in the order of the table."""
        return tuple(self._scenes)

    def scenes(self, split: str | None = None, path: Path | None = None) -> tuple[str, ...]:
        """Scenes of a split, all where none is named; path: a file of splits (see `splits`)."""
        if split is None:
            return self.scene_names
        return scenes_of(split, self.scene_names, self.root / self.version / "splits.json", path)

    def sample_tokens(self, scene: str) -> Iterator[str]:
        """Tokens of a scene's samples in order of time; ValueError for an unknown scene."""
        if scene not in self._scenes:
            raise ValueError(f"{self.root}: no scene {scene!r}; there are {len(self._scenes)}, the first is "
                             f"{next(iter(self._scenes), 'none')!r}")  # fmt: skip
        token = self._scenes[scene]["first_sample_token"]
        while token:
            yield token
            token = self.tables.get("sample", token)["next"]

    def scene_of(self, token: str) -> str:
        """Name of the scene of a sample."""
        return str(self.tables.get("scene", self.tables.get("sample", token)["scene_token"])["name"])

    def location(self, scene: str) -> str:
        """City of a scene, which names its map."""
        return str(self.tables.get("log", self._scenes[scene]["log_token"])["location"])

    def pose(self, token: str) -> NDArray[np.float64]:
        """map_T_ego (4x4) of a sample, at the capture of its LiDAR."""
        return sensors.poses(self.tables, self._captured(token, "LIDAR_TOP"))[0]

    def planar_pose(self, token: str) -> NDArray[np.float64]:
        """The pose without height, pitch and roll: where map vectors are cut out."""
        pose = self.pose(token)
        return planar(pose[0, 3], pose[1, 3], float(np.arctan2(pose[1, 0], pose[0, 0])))

    def tracks(self) -> dict[str, dict[str, NDArray[np.float64]]]:
        """City -> scene -> N x 2 ego positions of its samples, metres in the city's map frame."""
        found: dict[str, dict[str, NDArray[np.float64]]] = {}
        for scene in self.scene_names:
            positions = [self.pose(token)[:2, 3] for token in self.sample_tokens(scene)]
            found.setdefault(self.location(scene), {})[scene] = np.array(positions)
        return found

    def frame(self, token: str, sweeps: int = 1, reduction: Reduction = whole) -> Frame:
        """Six cameras and `sweeps` turns of the LiDAR (0: none) at the LiDAR's time.

        A camera's `ego_T_camera` has the motion since its own capture in it. Points: see `sensors.points`.
        reduction: how much smaller pictures are decoded.
        """
        lidar = self._captured(token, "LIDAR_TOP")
        map_T_ego = self.pose(token)
        names = self.camera_names(token)
        cameras = tuple(
            sensors.camera(self.tables, self._captured(token, name), map_T_ego, self.read, reduction) for name in names
        )
        points = sensors.points(self.tables, lidar, map_T_ego, self.read, sweeps) if sweeps else None
        return Frame(cameras, lidar["timestamp"] * 1000, points, map_T_ego)

    def camera_names(self, token: str) -> list[str]:
        """Cameras of a sample, those of nuScenes' rig in the order of ours."""
        channels = [name for name in self.tables.get("sample", token)["data"] if name.startswith("CAM_")]
        known = [name for name in CAMERA_ORDER if name in channels]
        return known + sorted(set(channels) - set(known))

    def layers(self, scene: str) -> MapLayers:
        """Map layers of the scene's city, read once."""
        location = self.location(scene)
        if location not in devkit.LOCATIONS:
            raise ValueError(
                f"{self.root}: scene {scene} has no map: its log says location {location!r}, maps are there for "
                f"{', '.join(devkit.LOCATIONS)}; leave the scene out of the split"
            )
        return self._layers(location)

    def truth(self, token: str, grid: BevGrid, rules: str = "ours") -> tuple[MapElement, ...]:
        """Map vectors in `grid` around a sample, ego metres, by the rules of that name (see `rules`)."""
        return map_vectors(self.layers(self.scene_of(token)), self.planar_pose(token), grid, rules)

    def layer_truth(self, token: str, grid: BevGrid) -> LayerTruth:
        """BEVFusion's layers in `grid` around a sample, ego metres; sets that mapkd wrote know three of them."""
        known = WRITTEN_LAYERS if self.manifest else LAYERS
        return layer_truth(self.layers(self.scene_of(token)), self.planar_pose(token), grid, known)

    def sd_prior(self, token: str, grid: BevGrid, path: Path | str | None = None) -> tuple[MapElement, ...]:
        """SD roads in `grid` around a sample as elements of the class `road`, ego metres.

        path: an OpenStreetMap extract of the scene's city (see `sd_map`); sets that mapkd wrote have their own. An HD
        prior is what `truth` gives, of this dataset or of one with another map.
        """
        return sd_elements(self.sd_roads(self.scene_of(token), path), self.planar_pose(token), grid)

    def sd_roads(self, scene: str, path: Path | str | None = None) -> tuple[SdRoad, ...]:
        """All SD roads of the scene's city, in its map frame; path: as of `sd_prior`."""
        city = self.location(scene)
        return self._sd_roads(Path(path) if path else self._own_sd_map(city), city)

    def has_sd_roads(self, scene: str) -> bool:
        """Whether the set has SD roads of its own for the scene's city, as those that mapkd wrote."""
        return self._own_sd_map(self.location(scene)).is_file()

    def _own_sd_map(self, city: str) -> Path:
        return self.root / "maps" / "sd" / f"{city}.geojson"

    def labelled(self, scene: str) -> tuple[str, ...]:
        """Classes whose truth is known: all, but for worlds whose road map says otherwise."""
        return self.manifest.labelled.get(scene, CLASSES) if self.manifest else CLASSES

    def read(self, name: str) -> bytes:
        """Bytes of a file of the dataset, compared with the manifest where there is one."""
        path = self.root / name
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; unpack the blobs of the dataset into {self.root} again")
        raw = path.read_bytes()
        if self.manifest:
            self.manifest.compare(name, raw)
        return raw

    def _captured(self, token: str, channel: str) -> dict[str, Any]:
        sample = self.tables.get("sample", token)
        if channel not in sample["data"]:
            raise ValueError(f"{self.root / self.version}: sample {token} has no key frame of {channel}")
        return self.tables.get("sample_data", sample["data"][channel])

    def _read_layers(self, location: str) -> MapLayers:
        return MapLayers(devkit.open_map(self.root, location))
