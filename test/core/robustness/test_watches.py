# SPDX-License-Identifier: Apache-2.0
"""Faults are told on rendered drives, and sound drives cause no alarm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mapkd_core.geometry import from_euler, planar, transform
from mapkd_core.robustness import pictures, rigs
from mapkd_core.robustness.flow import FARTHEST_M, NEAREST_M, View, road_motion, road_points
from mapkd_core.robustness.mount_watch import MountWatch
from mapkd_core.robustness.picture_watch import PictureWatch, brightness_fault
from mapkd_core.types import Frame

DOWN = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def faults(frames: list[Frame]) -> dict[str, str]:
    watch = MountWatch()
    compared = [watch.look(frame) for frame in frames]
    assert sum(compared) == len(frames) - 1
    return watch.faults()


def test_a_sound_drive_gives_no_alarm(drive_frames):
    assert faults(drive_frames) == {}
    watches = {camera.name: PictureWatch() for camera in drive_frames[0].cameras}
    for frame in drive_frames:
        assert {watches[c.name].look(c.image, frame.stamp_ns, 2.0) for c in frame.cameras} == {""}


@pytest.mark.parametrize("severity", [1, 2, 3])
def test_swapped_cameras_are_named(drive_frames, severity):
    found = faults([rigs.swapped(frame, severity) for frame in drive_frames])
    assert set(found) == set(rigs.SWAPPED[severity - 1])
    one, other = rigs.SWAPPED[severity - 1]
    assert other in found[one] and "swapped" in found[one]


def test_a_camera_that_was_bumped_is_named(drive_frames):
    """3 degrees of pitch of the front camera, which no message tells."""

    def bumped(frame: Frame) -> Frame:
        pose = frame.cameras[0].ego_T_camera.copy()
        pose[:3, :3] = pose[:3, :3] @ from_euler(np.radians(3.0), 0, 0)
        return replace(frame, cameras=(replace(frame.cameras[0], ego_T_camera=pose), *frame.cameras[1:]))

    found = faults([bumped(frame) for frame in drive_frames])
    assert "calibrate it again" in found["CAM_FRONT"] and "3.0 degrees" in found["CAM_FRONT"]


def test_a_comparison_stops_for_breath_and_finds_the_same(drive_frames):
    """Between its parts: six cameras with 25 turns each, and fifteen pairs of them both ways."""
    swapped, breaths = [rigs.swapped(frame, 1) for frame in drive_frames], []
    watch = MountWatch(pause=lambda: breaths.append(0))
    for frame in swapped:
        watch.look(frame)
    assert watch.faults() == faults(swapped)
    assert len(breaths) == (len(swapped) - 1) * (6 * 25 + 15 * 2)


def test_nothing_is_learned_while_standing_or_without_odometry(drive_frames):
    watch = MountWatch()
    assert not any(watch.look(drive_frames[0]) for _ in range(5))
    assert not any(watch.look(replace(frame, odom_T_ego=None)) for frame in drive_frames)
    far = [replace(drive_frames[0], odom_T_ego=planar(20.0 * i, 0, 0)) for i in range(4)]
    assert not any(watch.look(frame) for frame in far) and watch.faults() == {}


def test_the_ground_under_a_pixel_is_where_the_cameras_height_says():
    K = np.array([[100.0, 0, 50], [0, 100, 30], [0, 0, 1]])
    view = View("c", np.zeros((60, 100), np.float32), K, transform(DOWN, [1.0, 0.0, 1.5]))
    pixels = np.array([[45.0, 40.0, 1.0], [50.0, 20.0, 1.0]]).T  # ground at (16, 0.75, 0), and sky
    moved = road_motion((view, view), transform(np.eye(3), [2.0, 0.0, 0.0]), np.eye(3)) @ pixels
    x, y, depth, down = moved[:, 0]
    assert (x / depth, y / depth, depth / down) == pytest.approx((50 - 100 * 0.75 / 17, 30 + 100 * 1.5 / 17, 17.0))
    assert down < 0 < moved[3, 1]
    shown = {tuple(pixel) for pixel in road_points((60, 100), view).T}
    far, near = 30 + 100 * 1.5 / FARTHEST_M, 30 + 100 * 1.5 / NEAREST_M
    assert shown and all(far - 1 < v < near for _, v, _ in shown) and max(v for _, v, _ in shown) > 50


def test_the_homography_is_the_way_by_the_ground():
    """Ray, ground, the vehicle's motion and projection one after the other; two turned cameras."""
    random = np.random.default_rng(3)
    pixels = np.vstack([random.uniform(0, 350, 40), random.uniform(0, 120, 40), np.ones(40)])
    for _ in range(5):
        mounts = [
            View(
                "c", np.zeros((128, 352), np.float32),
                np.array([[random.uniform(150, 300), 0, 176], [0, random.uniform(150, 300), 60], [0, 0, 1]]),
                transform(from_euler(0, 0, random.uniform(-3, 3)) @ DOWN, random.uniform(-1, 1, 3) + [0, 0, 2.0]),
            )
            for _ in range(2)
        ]  # fmt: skip
        before_T_now = transform(from_euler(0.01, -0.02, 0.1), [2.0, 0.3, 0.05])
        turn = from_euler(*random.uniform(-0.1, 0.1, 3))
        poses = [view.ego_T_camera @ transform(turn, [0, 0, 0]) for view in mounts]
        rays = poses[0][:3, :3] @ np.linalg.inv(mounts[0].K) @ pixels
        at = poses[0][:3, 3:]
        points = at - rays * at[2] / rays[2]
        there = np.linalg.inv(poses[1]) @ before_T_now @ np.vstack([points, np.ones(40)])
        seen = mounts[1].K @ there[:3]
        x, y, depth, down = road_motion((mounts[0], mounts[1]), before_T_now, turn) @ pixels
        np.testing.assert_allclose([x / depth, y / depth, depth / down, down], [*seen[:2] / seen[2], seen[2], rays[2]])


def test_frozen_pictures_are_told_after_three(drive_frames):
    image, watch = drive_frames[0].cameras[0].image, PictureWatch()
    assert [watch.look(image, i, 0.5) for i in range(4)] == ["", "", "frozen", "frozen"]
    assert watch.look(drive_frames[1].cameras[0].image, 5, 0.5) == ""
    assert [watch.look(image, 6, 0.5) for _ in range(4)] == [""] * 4, "the same stamp is the same picture"
    standing = PictureWatch()
    assert [standing.look(image, i, 0.001) for i in range(5)] == [""] * 5
    unknown = PictureWatch()
    assert [unknown.look(image, i) for i in range(3)] == ["", "", "frozen"]


def test_black_and_overexposed_pictures_are_told(drive_frames):
    image = drive_frames[0].cameras[0].image
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 12, image.shape).astype(np.uint8)
    assert brightness_fault(noise) == "black" and brightness_fault(np.zeros_like(image)) == "black"
    assert brightness_fault(pictures.overexposed(image, 3, rng)) == "overexposed"
    assert brightness_fault(pictures.dark(image, 1, rng)) == "" and brightness_fault(image) == ""


def test_the_bench_blames_the_right_cameras(drive_frames, monkeypatch):
    from mapkd_core.robustness import watch_bench
    from mapkd_core.robustness.blocks import watches

    monkeypatch.setattr(watch_bench, "_drives", lambda first, count: iter([drive_frames]))
    chosen = {name: watch_bench._FAULTS[name] for name in ("none", "swapped CAM_FRONT, CAM_BACK")}
    monkeypatch.setattr(watch_bench, "_FAULTS", chosen)
    result = watch_bench.run(1)
    assert [(r["told"], r["others_told"]) for r in result["rows"]] == [(0.0, 0.0), (1.0, 0.0)]
    assert any("| swapped CAM_FRONT, CAM_BACK" in line for line in watches(result))
