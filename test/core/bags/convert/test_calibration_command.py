# SPDX-License-Identifier: Apache-2.0
"""`mapkd calibration`: a template that says what is missing, or the whole file from the dataset."""

import json

import numpy as np
import pytest

from mapkd_core import cli
from mapkd_core.bags.read import BagDrive
from mapkd_core.data.calibration import read_calibration


def printed(arguments, capsys):
    assert cli.main(["calibration", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_the_rig_of_a_scene_makes_a_bag_of_that_scene_readable(nuscenes2bag, nuscenes_root, tmp_path, drive_of, capsys):
    path = tmp_path / "calibration.yaml"
    path.write_text(printed([nuscenes2bag, "--nuscenes", nuscenes_root, "--scene", "scene-0061"], capsys))
    with BagDrive(nuscenes2bag, path) as drive:
        assert len(list(drive.frames())) == 4
        for camera, mounted in zip(drive.rig.cameras, sorted(drive_of.rig(), key=lambda c: c.name), strict=True):
            assert np.array_equal(camera.K, drive_of.K)
            assert np.allclose(camera.ego_T_camera, mounted.ego_T_camera, atol=1e-9)
        assert np.allclose(drive.rig.ego_T_lidar(), drive_of.EGO_T_LIDAR, atol=1e-9)


def test_the_template_has_what_the_bag_knows_and_names_what_it_lacks(
    nuscenes2bag, nuscenes_to_ros2bag, tmp_path, drive_of, capsys
):
    text = printed([nuscenes2bag], capsys)  # mountings by tf, no camera_info
    assert "# CAM_BACK: no camera_info in the bag" in text and text.count("K: [[fx, 0.0, cx]") == 3
    assert text.count(f"width: {drive_of.WIDTH}") == 3
    path = tmp_path / "calibration.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"cameras\.CAM_BACK\.K = .*fx"):
        read_calibration(path)
    path.write_text(text.replace("fx", "50.0").replace("fy", "52.0").replace("cx", "31.0").replace("cy", "17.0"))
    with BagDrive(nuscenes2bag, path) as drive:
        assert all(np.array_equal(camera.K, drive_of.K) for camera in drive.rig.cameras)
    text = printed([nuscenes_to_ros2bag], capsys)  # camera_info, no tf
    assert "tf does not connect" in text and "fx" not in text and text.count("[x, y, z]") == 3


def test_without_a_bag_the_template_has_six_blank_cameras(capsys):
    summary = json.loads(printed(["--json"], capsys))
    assert summary["blanks"] == 6 * 4 and len(summary["cameras"]) == 6


def test_pictures_of_another_size_are_not_given_the_scenes_intrinsics(nuscenes2bag, nuscenes_root, edit_table, capsys):
    edit_table("sample_data", lambda rows: [row.update(width=640) for row in rows])
    arguments = ["calibration", str(nuscenes2bag), "--nuscenes", str(nuscenes_root), "--scene", "scene-0061"]
    assert cli.main(arguments) == 1
    assert "is 64 x 36 pixels, the scene's 640 x 36" in capsys.readouterr().err
