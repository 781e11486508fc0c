# SPDX-License-Identifier: Apache-2.0
"""Made-up maps: valid for every seed, the same in every process, different from each other."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import shapely

from mapkd_core.geometry import apply_planar
from mapkd_core.grid import BevGrid
from mapkd_core.worlds import drive, road_map_file
from mapkd_core.worlds.procedural import make_road_map
from mapkd_core.worlds.truth import local_elements

SEEDS = range(50)
RIM_M = 149.0


@pytest.fixture(scope="module")
def maps():
    return [make_road_map(seed) for seed in SEEDS]


def track(road_map):
    return shapely.MultiPoint(road_map.ego[:, 1:3])


def rectangle(x, y, yaw, length, width):
    corners = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)]) * (length / 2, width / 2)
    c, s = np.cos(yaw), np.sin(yaw)
    return shapely.Polygon(corners @ [[c, s], [-s, c]] + (x, y))


def test_everything_is_finite_and_the_drive_has_its_clock(maps):
    for road_map in maps:
        lines = [
            *road_map.dividers,
            *road_map.boundaries,
            *road_map.crossings,
            *road_map.centrelines,
            *road_map.sd_roads,
        ]
        assert all(np.isfinite(line).all() and len(line) > 1 for line in lines)
        assert all(np.isfinite(agent.poses).all() for agent in road_map.agents)
        assert road_map.ego.shape == (201, 4) and np.isfinite(road_map.ego).all()
        np.testing.assert_allclose(np.diff(road_map.ego[:, 0]), 0.1)
        speeds = np.hypot(*np.diff(road_map.ego[:, 1:3], axis=0).T) * 10
        assert speeds.max() < 16.0
        assert np.abs(np.diff(np.unwrap(road_map.ego[:, 3]))).max() < 0.15


def test_boundaries_are_the_contour_of_the_drivable_area(maps):
    for road_map in maps:
        lines = shapely.multilinestrings([shapely.linestrings(line) for line in road_map.boundaries])
        contour = road_map.drivable.boundary
        assert shapely.difference(lines, contour.buffer(0.01)).length < 0.01
        left_out = shapely.get_parts(shapely.difference(contour, lines.buffer(0.01)))
        near_rim = shapely.distance(track(road_map), left_out) > RIM_M - 4.0
        assert near_rim.all(), f"{road_map.name}: {left_out[~near_rim]}"


def test_boundaries_have_the_road_on_their_right(maps):
    for road_map in maps:
        for line in road_map.boundaries:
            steps = np.diff(line, axis=0)
            right = np.stack([steps[:, 1], -steps[:, 0]], 1) / np.hypot(*steps.T)[:, None]
            beside = (line[1:] + line[:-1]) / 2 + 0.01 * right
            inside = shapely.contains_xy(road_map.drivable, beside)
            assert inside[np.hypot(*steps.T) > 0.1].mean() > 0.9


def test_dividers_lie_on_the_asphalt(maps):
    for road_map in maps:
        asphalt = road_map.drivable.buffer(1e-6)
        shapely.prepare(asphalt)
        assert all(asphalt.covers(shapely.LineString(line)) for line in road_map.dividers)


def test_crossings_are_simple_polygons_on_the_road(maps):
    for road_map in maps:
        for ring in road_map.crossings:
            polygon = shapely.Polygon(ring)
            assert polygon.is_valid and polygon.area > 4
            assert polygon.intersection(road_map.drivable).area > 0.5 * polygon.area
    assert sum(bool(road_map.crossings) for road_map in maps) > 30


def test_the_vehicle_stays_on_the_road_and_meets_nobody(maps):
    outline = np.array([(x, y) for x in (-0.6, 1.4, 3.4) for y in (-0.8, 0.8)])
    for road_map in maps:
        shapely.prepare(road_map.drivable)
        for time_s in np.arange(0, 20, 0.2):
            pose = drive.pose_at(road_map, time_s)
            (x, y), (c, s) = pose[:2, 3], pose[:2, 0]
            inside = shapely.contains_xy(road_map.drivable, apply_planar(pose, outline))
            assert inside.all(), f"{road_map.name} at {time_s:.1f} s"
            body = rectangle(x + 1.4 * c, y + 1.4 * s, np.arctan2(s, c), 4.1, 1.7)
            for box in drive.boxes_at(road_map, time_s):
                if np.hypot(box.x - x, box.y - y) < 10:
                    other = rectangle(box.x, box.y, box.yaw, box.length, box.width)
                    assert not body.intersects(other), f"{road_map.name} at {time_s:.1f} s: {box}"


def test_most_frames_show_something_of_every_class(maps):
    seen = {"divider": 0, "ped_crossing": 0, "boundary": 0}
    for road_map in maps:
        for time_s in (2.0, 10.0, 18.0):
            names = {e.class_name for e in local_elements(road_map, drive.pose_at(road_map, time_s), BevGrid())}
            for name in names:
                seen[name] += 1
    assert seen["boundary"] == 150 and seen["divider"] > 120 and seen["ped_crossing"] > 60


def test_maps_differ(maps):
    assert len({road_map.boundaries[0].tobytes() for road_map in maps}) == len(maps)
    areas = [road_map.drivable.area for road_map in maps]
    assert np.std(areas) > 0.2 * np.mean(areas)


def digest(seeds, folder):
    total = hashlib.sha256()
    for seed in seeds:
        path = folder / f"{seed}.json.gz"
        road_map_file.save(make_road_map(seed), path)
        total.update(path.read_bytes())
    return total.hexdigest()


def test_a_seed_gives_the_same_map_in_another_process(tmp_path):
    code = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import test_roads_procedural as t; "
        "print(t.digest((3, 4), pathlib.Path(sys.argv[2])))"
    )
    here = os.path.dirname(__file__)
    command = [sys.executable, "-c", code, here, str(tmp_path)]
    root = os.path.abspath(os.path.join(here, "..", "..", ".."))
    env = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": root}
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=env, timeout=120)
    assert told.stdout.strip() == digest((3, 4), tmp_path)


def test_a_saved_map_is_the_same_road(maps, tmp_path):
    road_map_file.save(maps[1], tmp_path / "m.json.gz")
    again = road_map_file.load(tmp_path / "m.json.gz")
    assert again.drivable.symmetric_difference(maps[1].drivable).area < 1e-3 * maps[1].drivable.length
    pose = drive.pose_at(maps[1], 5.0)
    assert len(local_elements(again, pose, BevGrid())) == len(local_elements(maps[1], pose, BevGrid()))


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed = -1"):
        make_road_map(-1)
