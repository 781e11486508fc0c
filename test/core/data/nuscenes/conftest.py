# SPDX-License-Identifier: Apache-2.0
"""A small rendered set in nuScenes' format, made once for all workers, and cities drawn by hand."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely

from mapkd_core.data.nuscenes import NuScenesSet
from mapkd_core.data.nuscenes_worlds.map_records import MapRecords
from mapkd_core.data.nuscenes_worlds.recipe import Recipe, standard_worlds
from mapkd_core.data.nuscenes_worlds.write import write_set
from mapkd_core.geometry import apply_planar, planar


@pytest.fixture(scope="session")
def nuscenes_devkit():
    """The devkit; skips where it is not installed."""
    return pytest.importorskip("nuscenes.nuscenes", reason="nuscenes-devkit is not installed; see `make setup`")


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Three procedural worlds, two key frames each with one sweep before it."""
    return Recipe(standard_worlds({"validation": 1, "test": 2}), frames=2, width=160, height=90, sweeps=1)


@pytest.fixture(scope="session")
def written(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set on disk; leave it as it is."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (base / "nuscenes.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_set(base / "nuscenes", recipe, workers=1)
    return base / "nuscenes"


@pytest.fixture(scope="session")
def dataset(written: Path, nuscenes_devkit) -> NuScenesSet:
    """The set, opened."""
    return NuScenesSet(written)


@pytest.fixture()
def copy(written: Path, nuscenes_devkit, tmp_path: Path) -> Path:
    """A copy to damage, without manifest: as a real dataset is."""
    root = tmp_path / "damaged"
    shutil.copytree(written, root)
    (root / "mapkd_manifest.json").unlink()
    return root


POSE = planar(100.0, 50.0, np.pi / 2)


@pytest.fixture()
def city(tmp_path: Path, nuscenes_devkit) -> Callable[..., Path]:
    """Writes a map expansion from lines and rectangles (x0, y0, x1, y1) in the ego frame of POSE; returns its root."""

    def build(
        roads=(),
        lanes=(),
        crossings=(),
        lane_dividers=(),
        road_dividers=(),
        holes=(),
        areas=(),
        **changes: object,
    ) -> Path:
        records = MapRecords("by-hand")
        holes = [_ring(hole) for hole in holes]
        for layer, boxes in (("road_segment", roads), ("lane", lanes), ("ped_crossing", crossings)):
            for box in boxes:
                polygon = shapely.Polygon(_ring(box), holes if layer == "road_segment" else [])
                sides = {"left_lane_divider_segments": [], "right_lane_divider_segments": []} if layer == "lane" else {}
                records.add(layer, polygon_token=records.add_polygon(polygon), **sides)
        for layer, lines in (("lane_divider", lane_dividers), ("road_divider", road_dividers)):
            for line in lines:
                records.add(layer, line_token=records.add_line(apply_planar(POSE, np.array(line, float))))
        for layer, box in areas:
            token = records.add_polygon(shapely.Polygon(_ring(box)))
            records.add(layer, **{"polygon_tokens": [token]} if layer == "drivable_area" else {"polygon_token": token})
        path = tmp_path / "maps" / "expansion" / "boston-seaport.json"
        path.parent.mkdir(parents=True)
        content = {"version": "1.3", "canvas_edge": [200.0, 200.0], **records.content, **changes}
        path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
        return tmp_path

    return build


@pytest.fixture()
def pose() -> np.ndarray:
    """map_T_ego that `city` draws for: at x = 100, y = 50, heading north."""
    return POSE


def _ring(box: tuple[float, float, float, float]) -> np.ndarray:
    return apply_planar(POSE, shapely.get_coordinates(shapely.box(*box))[:-1])
