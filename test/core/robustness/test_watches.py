# SPDX-License-Identifier: Apache-2.0
"""Faults are told on rendered drives, and sound drives cause no alarm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mapkd_core.geometry import from_euler, planar, transform
from mapkd_core.robustness import pictures, rigs
from mapkd_core.robustness.flow import View, on_ground
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


def test_nothing_is_learned_while_standing_or_without_odometry(drive_frames):
    watch = MountWatch()
    assert not any(watch.look(drive_frames[0]) for _ in range(5))
    assert not any(watch.look(replace(frame, odom_T_ego=None)) for frame in drive_frames)
    far = [replace(drive_frames[0], odom_T_ego=planar(20.0 * i, 0, 0)) for i in range(4)]
    assert not any(watch.look(frame) for frame in far) and watch.faults() == {}


def test_pixels_meet_the_ground_where_they_should():
    """A camera 1.5 m up that looks ahead: 10 pixels below the horizon at f = 100 px is 15 m ahead, 5 px left 0.75 m."""
    K = np.array([[100.0, 0, 50], [0, 100, 30], [0, 0, 1]])
    view = View("c", np.zeros((60, 100), np.float32), K, transform(DOWN, [1.0, 0.0, 1.5]))
    ground = on_ground(np.array([[45.0, 40.0], [50.0, 20.0]]), view.K, view.ego_T_camera)
    assert np.allclose(ground[0], [16.0, 0.75, 0.0]) and np.isnan(ground[1]).any()


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
