# SPDX-License-Identifier: Apache-2.0
"""The real road maps, where they are present: they load, their truth lies inside the range, their asphalt closes."""

import os
from pathlib import Path

import numpy as np
import pytest
import shapely

from mapkd_core.grid import BevGrid
from mapkd_core.worlds import drive, road_map_file
from mapkd_core.worlds.area import drivable_area
from mapkd_core.worlds.truth import local_elements

FOLDER = Path(os.environ.get("MAPKD_SHARED", Path(__file__).resolve().parents[4] / "shared" / "data")) / "roads"
FILES = sorted(FOLDER.glob("*.json.gz"))
pytestmark = pytest.mark.skipif(not FILES, reason=f"no real road maps in {FOLDER}")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_truth_covers_the_drive(path):
    road_map = road_map_file.load(path)
    assert road_map.licence and road_map.ego[-1, 0] == pytest.approx(drive.duration(road_map))
    for time_s in np.arange(0, drive.duration(road_map), 5.0):
        found = local_elements(road_map, drive.pose_at(road_map, time_s), BevGrid())
        assert {"boundary"} <= {e.class_name for e in found} <= {*road_map.labelled}
        vertices = np.concatenate([e.vertices_m for e in found])
        assert np.abs(vertices[:, 0]).max() <= 30 + 1e-9 and np.abs(vertices[:, 1]).max() <= 15 + 1e-9


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_asphalt_holds_the_drive_and_the_lanes(path):
    road_map = road_map_file.load(path)
    area = drivable_area(road_map)
    assert shapely.contains_xy(area, road_map.ego[:, 1:3]).all()
    lanes = shapely.multilinestrings([shapely.linestrings(line) for line in road_map.centrelines])
    assert shapely.intersection(lanes, area).length > 0.97 * lanes.length
    assert area.area < 0.45 * shapely.MultiPoint(road_map.ego[:, 1:3]).convex_hull.buffer(150).area
