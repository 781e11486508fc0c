# SPDX-License-Identifier: Apache-2.0
"""nuscenes-devkit's own API over a rendered set: tables, boxes, sweeps, and maps equal to the world within 1 cm."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from numpy.testing import assert_allclose

from mapkd_core.data.nuscenes_worlds.map_records import map_records
from mapkd_core.geometry import apply_planar, inverse
from mapkd_core.worlds import drive, procedural, road_map_file
from mapkd_core.worlds.area import drivable_area
from mapkd_core.worlds.relief import draw_relief

TOLERANCE_M = 0.01
SCENE = "procedural-200000"


@pytest.fixture(scope="module")
def nusc(written, nuscenes_devkit):
    return nuscenes_devkit.NuScenes(version="v1.0-mapkd", dataroot=str(written), verbose=False)


@pytest.fixture(scope="module")
def nusc_map(written, nuscenes_devkit):
    from nuscenes.map_expansion.map_api import NuScenesMap

    return NuScenesMap(dataroot=str(written), map_name="singapore-queenstown")


@pytest.fixture(scope="module")
def world():
    return procedural.make_road_map(200000)


@pytest.fixture(scope="module")
def offset(dataset):
    return np.array(dataset.manifest.scenes[SCENE]["map_offset_m"])


def first_sample(nusc, name=SCENE):
    scene = next(scene for scene in nusc.scene if scene["name"] == name)
    return nusc.get("sample", scene["first_sample_token"])


def test_scenes_and_samples_are_chained(nusc):
    assert [scene["name"] for scene in nusc.scene] == ["procedural-100000", "procedural-200000", "procedural-200001"]
    sample = first_sample(nusc)
    following = nusc.get("sample", sample["next"])
    assert following["timestamp"] - sample["timestamp"] == 500_000 and following["next"] == ""
    assert len(sample["data"]) == 7
    sweep = nusc.get("sample_data", nusc.get("sample_data", following["data"]["LIDAR_TOP"])["prev"])
    assert not sweep["is_key_frame"] and following["timestamp"] - sweep["timestamp"] == 50_000
    key = nusc.get("sample_data", sweep["prev"])
    assert key["token"] == sample["data"]["LIDAR_TOP"]


def test_boxes_are_the_agents_of_the_world(nusc, world, offset):
    sample = first_sample(nusc)
    _, boxes, _ = nusc.get_sample_data(sample["data"]["LIDAR_TOP"])
    assert len(boxes) == len(sample["anns"]) > 5
    start = float(world.ego[0, 0]) + 0.05
    truth = {(b.x, b.y): b for b in drive.boxes_at(world, start)}
    centres = np.array(list(truth)) + offset
    pose = drive.pose_at(world, start)
    ground = draw_relief(int(SCENE.split("-")[1])).seen_from(pose)
    for token in sample["anns"]:
        box = nusc.get_box(token)
        apart = np.hypot(*(centres - box.center[:2]).T)
        match = list(truth.values())[int(apart.argmin())]
        assert apart.min() < TOLERANCE_M
        assert_allclose(box.wlh, [match.width, match.length, match.height])
        assert np.cos(box.orientation.yaw_pitch_roll[0] - match.yaw) > 0.9999
        foot = ground.height(apply_planar(inverse(pose), (match.x, match.y)))  # above the planar pose's plane
        assert box.center[2] == pytest.approx(foot + match.height / 2)
    pedestrians = [b for b in boxes if b.name == "human.pedestrian.adult"]
    assert len(pedestrians) == sum(b.kind == "PEDESTRIAN" for b in truth.values() if _near(b, world, start))


def _near(box, world, time_s):
    pose = drive.pose_at(world, time_s)
    return np.hypot(box.x - pose[0, 3], box.y - pose[1, 3]) < 80


def test_lidar_points_hit_the_boxes_that_say_so(nusc):
    from nuscenes.utils.data_classes import LidarPointCloud
    from nuscenes.utils.geometry_utils import points_in_box

    sample = first_sample(nusc)
    path, boxes, _ = nusc.get_sample_data(sample["data"]["LIDAR_TOP"])
    cloud = LidarPointCloud.from_file(path)
    for box in boxes:
        told = nusc.get("sample_annotation", box.token)["num_lidar_pts"]
        # Points lie on the box's faces: single precision decides about some.
        assert abs(int(points_in_box(box, cloud.points[:3]).sum()) - told) <= 3 + 0.02 * told
    joined, times = LidarPointCloud.from_file_multisweep(nusc, nusc.get("sample", sample["next"]), "LIDAR_TOP",
                                                         "LIDAR_TOP", nsweeps=2)  # fmt: skip
    assert set(times[0].round(3)) == {0.0, 0.05} and joined.points.shape[1] > cloud.points.shape[1]


def test_layers_are_the_worlds_geometry(nusc_map, world, offset):
    dividers = [nusc_map.extract_line(r["line_token"]) for r in nusc_map.lane_divider + nusc_map.road_divider]
    _assert_each_is_there([shapely.LineString(line + offset) for line in world.dividers], dividers)
    crossings = [nusc_map.extract_polygon(r["polygon_token"]) for r in nusc_map.ped_crossing]
    _assert_each_is_there([shapely.Polygon(ring + offset) for ring in world.crossings], crossings)
    road = shapely.union_all([nusc_map.extract_polygon(r["polygon_token"]) for r in nusc_map.road_segment])
    lanes = [nusc_map.extract_polygon(r["polygon_token"]) for r in nusc_map.lane]
    assert all(polygon.is_valid for polygon in lanes) and len(lanes) > 10
    contour = shapely.union_all([road, *lanes]).boundary
    boundary = shapely.multilinestrings([shapely.linestrings(line + offset) for line in world.boundaries])
    assert _farthest(boundary, contour) < TOLERANCE_M


def _assert_each_is_there(expected, found):
    tree = shapely.STRtree(found)
    for each in expected:
        near = [found[i] for i in tree.query(each)]
        assert min(shapely.hausdorff_distance(each, other) for other in near) < TOLERANCE_M


def _farthest(lines, target):
    points = shapely.points(shapely.get_coordinates(shapely.segmentize(lines, 1.0)))
    return float(shapely.distance(points, target).max())


def test_map_queries_of_the_devkit(nusc, nusc_map, world, offset):
    x, y = world.ego[0, 1:3] + offset
    box = (x - 100, y - 100, x + 100, y + 100)
    records = nusc_map.get_records_in_patch(box, ["lane_divider", "road_divider", "ped_crossing", "road_segment"])
    window = shapely.box(*box)
    lines = sum(shapely.LineString(line + offset).intersects(window) for line in world.dividers)
    assert len(records["lane_divider"]) + len(records["road_divider"]) == lines > 0
    assert len(records["ped_crossing"]) == sum(shapely.Polygon(r + offset).intersects(window) for r in world.crossings)
    geometry = dict(nusc_map.get_map_geom((x, y, 200, 200), 0.0, None))
    assert len(geometry["ped_crossing"]) == len(records["ped_crossing"])
    length = sum(g.length for layer in ("lane_divider", "road_divider") for g in geometry[layer])
    cut = [shapely.LineString(line + offset).intersection(window).length for line in world.dividers]
    assert length == pytest.approx(sum(cut), abs=TOLERANCE_M * len(cut))
    road_map = next(m for m in nusc.map if nusc.get("log", m["log_tokens"][0])["location"] == nusc_map.map_name)
    # MapMask caches by instance, so ask the one of this city.
    inside = drivable_area(world).contains(shapely.Point(world.ego[0, 1:3]))
    assert road_map["mask"].is_on_mask(x, y)[0] == inside and inside
    mask = nusc_map.get_map_mask((x, y, 40, 40), 0.0, ["road_segment"], (400, 400))
    assert mask[0, 200, 200] == 1


def test_lanes_can_be_followed(nusc_map, world, offset):
    x, y = world.ego[0, 1:3] + offset
    lane = nusc_map.get_closest_lane(x, y)
    poses = np.array(nusc_map.discretize_lanes([lane], 0.5)[lane])
    assert np.hypot(poses[:, 0] - x, poses[:, 1] - y).min() < 2.0
    assert any(nusc_map.get_outgoing_lane_ids(record["token"]) for record in nusc_map.lane)
    assert nusc_map.get_arcline_path(lane)[0]["start_pose"][2] == pytest.approx(poses[0, 2])


def test_custom_splits_are_found_by_the_devkit(nusc):
    from nuscenes.utils.splits import get_scenes_of_split

    assert get_scenes_of_split("mapkd_test", nusc) == ["procedural-200000", "procedural-200001"]


def test_real_road_maps_keep_their_boundaries(shared_data):
    """The road area of a real map is derived; within 120 m of the drive its contour is the boundary."""
    road_map = road_map_file.load(shared_data / "roads" / "scene-1094.json.gz")
    content = map_records(road_map, "real")
    nodes = {node["token"]: (node["x"], node["y"]) for node in content["node"]}
    polygons = {record["token"]: record for record in content["polygon"]}
    areas = []
    for segment in content["road_segment"]:
        record = polygons[segment["polygon_token"]]
        rings = [record["exterior_node_tokens"], *[hole["node_tokens"] for hole in record["holes"]]]
        shell, *holes = [[nodes[node] for node in ring] for ring in rings]
        areas.append(shapely.Polygon(shell, holes))
    near = shapely.MultiPoint(road_map.ego[::10, 1:3]).buffer(120)
    lines = shapely.multilinestrings([shapely.linestrings(line) for line in road_map.boundaries])
    assert _farthest(shapely.intersection(lines, near), shapely.union_all(areas).boundary) < TOLERANCE_M
