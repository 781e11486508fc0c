# SPDX-License-Identifier: Apache-2.0
"""A rendered drive in a bag: calibration, motion and truth belong together, whoever rendered which frame."""

from dataclasses import replace

import numpy as np
import pytest

from mapkd_core.bags.bag_file import PRIOR_TOPICS
from mapkd_core.bags.from_messages import elements
from mapkd_core.bags.from_world import NUSCENES_OFFSETS_S, START_NS, write_world_drive
from mapkd_core.bags.read import BagDrive
from mapkd_core.bags.replay import replay_topics
from mapkd_core.bags.storage import BagReader
from mapkd_core.bags.typestore import typestore
from mapkd_core.geometry import apply_planar, planar
from mapkd_core.types import SD_CLASS
from mapkd_core.worlds.relief import draw_relief
from mapkd_core.worlds.road_map import RoadMap

SPEED = 8.0
FIRST_S = 0.0076  # CAM_FRONT_LEFT fires that much earlier, and the drive has begun then


@pytest.fixture(scope="module")
def straight_road():
    """Twelve metres wide, the vehicle drives along x in its right half for a second."""
    xs = np.linspace(-40, 60, 21)
    times = np.arange(0, 1.01, 0.1)
    lines = [np.column_stack([xs, np.full(21, y)]) for y in (0.0, -6.0, 6.0, -3.0)]
    ego = np.column_stack([times, SPEED * times, np.full(11, -3.0), np.zeros(11)])
    return RoadMap("straight", (lines[0],), (lines[1][::-1], lines[2]), (), (lines[3],), ego)


@pytest.fixture(scope="module")
def bag(straight_road, tmp_path_factory):
    path = tmp_path_factory.mktemp("world") / "drive.mcap"
    options = {"image_size": (96, 54), "workers": 2, "progress": False}
    assert write_world_drive(straight_road, 1, path, 0.4, 10.0, **options) == 4
    return path


def test_frames_carry_the_drives_poses_and_cameras_their_own_instants(bag):
    with BagDrive(bag) as drive:
        frames = list(drive.frames())
        assert drive.counts == {"frames": 4} and not drive.problems
        mounted = {camera.name: camera.ego_T_camera for camera in drive.rig.cameras}
    for number, frame in enumerate(frames):
        assert frame.stamp_ns == START_NS + number * 100_000_000
        assert np.allclose(frame.odom_T_ego, planar(SPEED * (FIRST_S + number / 10), -3, 0), atol=1e-6)
        assert len(frame.cameras) == 6
        for camera in frame.cameras:
            late_s = NUSCENES_OFFSETS_S[camera.name]
            assert camera.image.shape == (54, 96, 3) and camera.image.std() > 5
            assert camera.stamp_ns == frame.stamp_ns + round(late_s * 1e9)
            moved = camera.ego_T_camera[:3, 3] - mounted[camera.name][:3, 3]
            assert np.allclose(moved, (SPEED * late_s, 0, 0), atol=1e-6)


def test_truth_is_the_road_seen_from_the_vehicle(bag):
    with BagDrive(bag) as drive:
        truths, frames = drive.truth(), list(drive.frames())
    assert list(truths) == [frame.stamp_ns for frame in frames]
    for frame in frames:
        elements = truths[frame.stamp_ns].elements
        assert sorted(element.class_name for element in elements) == ["boundary", "boundary", "divider"]
        for element in elements:
            on_map = apply_planar(frame.odom_T_ego, element.vertices_m)
            assert np.allclose(np.abs(on_map[:, 1]), 0 if element.class_name == "divider" else 6, atol=1e-5)
            assert np.abs(element.vertices_m[:, 0]).max() <= 30 + 1e-5


def test_the_number_of_workers_does_not_change_a_byte(bag, straight_road, tmp_path):
    write_world_drive(straight_road, 1, tmp_path / "one", 0.2, 10.0, image_size=(96, 54), workers=1, progress=False)
    with BagReader(bag) as many, BagReader(tmp_path / "one") as one:
        assert {(m.topic, m.stamp_ns, bytes(m.data)) for m in one.messages()} <= {
            (m.topic, m.stamp_ns, bytes(m.data)) for m in many.messages()
        }


def test_a_bag_for_teachers_has_lidar_and_priors(straight_road, tmp_path):
    path = tmp_path / "drive.mcap"
    road = replace(straight_road, sd_roads=(straight_road.centrelines[0],), sd_road_types=("residential",))
    options = {"image_size": (32, 18), "workers": 1, "progress": False, "for_teachers": True}
    assert draw_relief(2).is_flat
    assert write_world_drive(road, 2, path, 0.2, 10.0, **options) == 2
    with BagDrive(path) as drive:
        frames = list(drive.frames())
        latched = {topic.name for topic in replay_topics(drive) if topic.is_latched}
        assert drive.dialect.truth == "/truth/vector_map" and len(drive.truth()) == 2, "a prior is not taken for truth"
    for frame in frames:
        assert frame.points.shape[1] == 5 and len(frame.points) > 5000
        ground = frame.points[np.abs(frame.points[:, 1] - 3.0) < 2.0]  # the road beside the vehicle
        assert abs(np.median(ground[:, 2])) < 0.05, "points are in the ego frame again"
        assert set(np.unique(frame.points[:, 4])) <= set(range(32))
    assert {"/prior/sd_map", "/prior/hd_map", "/truth/vector_map"} <= latched
    with BagReader(path) as bag:
        found = {
            m.topic: typestore().deserialize_cdr(m.data, m.type_name) for m in bag.messages({*PRIOR_TOPICS.values()})
        }
    sd, hd = found["/prior/sd_map"], found["/prior/hd_map"]
    assert (sd.model_id, hd.model_id, sd.header.frame_id) == ("sd", "hd", "odom")
    (line,) = elements(sd)
    assert line.class_name == SD_CLASS and np.allclose(line.vertices_m[[0, -1]], [(-40, -3), (60, -3)], atol=1e-4)
    assert {e.class_name for e in elements(hd)} <= {"divider", "boundary", "ped_crossing"} and elements(hd)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"duration_s": 0.0}, "duration 0.0 s"),
        ({"rate_hz": -1.0}, "rate -1.0 Hz"),
        ({"workers": 0}, "0 workers"),
        ({"start_s": 5.0}, "no drive left after 5.00 s: it ends at 1.00 s"),
        ({"image_size": (0, 10)}, "0 x 10"),
        ({"seed": -1}, "negative|non-negative|seed"),
    ],
)
def test_what_cannot_be_rendered_is_refused_and_leaves_no_bag(straight_road, tmp_path, options, words):
    arguments = {"seed": 1, "duration_s": 0.2, "rate_hz": 10.0, "image_size": (32, 18), "progress": False} | options
    with pytest.raises(ValueError, match=words):
        write_world_drive(straight_road, path=tmp_path / "drive", **arguments)
    assert list(tmp_path.iterdir()) == []
