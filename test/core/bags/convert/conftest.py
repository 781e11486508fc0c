# SPDX-License-Identifier: Apache-2.0
"""The drive as a nuScenes dataset on disk: two key frames a scene, the other frames as sweeps."""

import json

import numpy as np
import pytest

from mapkd_core.geometry import rotation_to_quaternion

VERSION = "v1.0-mini"


@pytest.fixture
def nuscenes_root(tmp_path, drive_of):
    """scene-0061 is the drive, scene-0103 another one of the same files; no map expansion."""
    root = tmp_path / "nuscenes"
    tables = {name: [] for name in ("log", "scene", "sample", "sample_data", "calibrated_sensor", "sensor", "ego_pose")}
    tables["log"] = [{"token": "log", "location": "singapore-onenorth"}]
    for channel, matrix in mountings(drive_of).items():
        tables["sensor"].append({"token": f"sensor {channel}", "channel": channel})
        K = [] if channel == "LIDAR_TOP" else drive_of.K.tolist()
        calibrated = {"token": f"calibrated {channel}", "sensor_token": f"sensor {channel}", "camera_intrinsic": K}
        tables["calibrated_sensor"].append(calibrated | placed(matrix))
    for number, frame in enumerate(drive_of.frames()):
        is_key, sample = number % 2 == 0, f"sample {number // 2}"
        if is_key:
            tables["sample"].append({"token": sample, "scene_token": "scene", "timestamp": frame.stamp_ns // 1000})
        content = {camera.name: (camera.stamp_ns, drive_of.jpeg(camera.image)) for camera in frame.cameras}
        content["LIDAR_TOP"] = (frame.stamp_ns, drive_of.points(number).tobytes())
        content["RADAR_FRONT"] = (frame.stamp_ns, b"radar")
        for channel, (stamp_ns, raw) in content.items():
            token = f"{channel} {number}"
            name = f"{'samples' if is_key else 'sweeps'}/{channel}/{stamp_ns}"
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(raw)
            record = {
                "token": token, "sample_token": sample, "ego_pose_token": token, "is_key_frame": is_key,
                "calibrated_sensor_token": f"calibrated {channel}", "timestamp": stamp_ns // 1000, "filename": name,
                "width": drive_of.WIDTH, "height": drive_of.HEIGHT,
            }  # fmt: skip
            tables["sample_data"].append(record)
            pose = {"token": token, "timestamp": stamp_ns // 1000} | placed(drive_of.pose_at(stamp_ns))
            tables["ego_pose"].append(pose)
    tables["scene"] = [{"token": "scene", "name": "scene-0061", "log_token": "log"}]
    tables["scene"].append({"token": "other", "name": "scene-0103", "log_token": "log"})
    (root / VERSION).mkdir()
    for name, records in tables.items():
        (root / VERSION / f"{name}.json").write_text(json.dumps(records))
    return root


def mountings(drive_of):
    cameras = {camera.name: camera.ego_T_camera for camera in drive_of.rig()}
    return cameras | {"LIDAR_TOP": drive_of.EGO_T_LIDAR, "RADAR_FRONT": np.eye(4)}


def placed(matrix):
    """Translation and rotation (w x y z) as nuScenes writes them."""
    rotation = np.roll(rotation_to_quaternion(matrix[:3, :3]), 1)
    return {"translation": matrix[:3, 3].tolist(), "rotation": rotation.tolist()}


@pytest.fixture
def edit_table(nuscenes_root):
    """edit_table(name, change): change(records) in place."""

    def edit(name, change):
        path = nuscenes_root / VERSION / f"{name}.json"
        records = json.loads(path.read_text())
        change(records)
        path.write_text(json.dumps(records))

    return edit
