# SPDX-License-Identifier: Apache-2.0
"""Records of nuScenes' tables for one scene, and those that all scenes share. Quaternions are w x y z."""

from __future__ import annotations

from typing import Any

import numpy as np

from mapkd_core.data.nuscenes_worlds.tokens import token
from mapkd_core.geometry import Matrix, rotation_to_quaternion
from mapkd_core.worlds.rig import nuscenes_rig

LIDAR = "LIDAR_TOP"
CATEGORIES = {
    "VEHICLE": "vehicle.car", "PEDESTRIAN": "human.pedestrian.adult", "CYCLIST": "vehicle.bicycle",
    "TRAFFIC_CONE": "movable_object.trafficcone", "TRAFFIC_BARRIER": "movable_object.barrier",
}  # fmt: skip
ATTRIBUTES = (
    "vehicle.moving", "vehicle.parked", "pedestrian.moving", "pedestrian.standing", "cycle.with_rider"
)  # fmt: skip
VISIBILITIES = {"1": "v0-40", "4": "v80-100"}


def shared_tables() -> dict[str, list[dict[str, Any]]]:
    """Tables that are the same for every set."""
    channels = [camera.name for camera in nuscenes_rig()]
    return {
        "category": [
            {"token": token("category", name), "name": name, "description": f"rendered {name}", "index": i + 1}
            for i, name in enumerate(CATEGORIES.values())
        ],
        "attribute": [{"token": token("attribute", name), "name": name, "description": ""} for name in ATTRIBUTES],
        "visibility": [
            {"token": name, "level": level, "description": "guessed from whether the LiDAR hits the box"}
            for name, level in VISIBILITIES.items()
        ],
        "sensor": [
            {"token": token("sensor", name), "channel": name, "modality": "lidar" if name == LIDAR else "camera"}
            for name in (*channels, LIDAR)
        ],
    }


class SceneTables:
    """Collects log, scene, samples, captures and poses of one scene; `rows` is table -> records."""

    def __init__(self, name: str, city: str, start_us: int) -> None:
        self._name, self._start_us = name, start_us
        self.files: list[str] = []
        log = {
            "token": token(name, "log"), "logfile": f"mapkd-{name}", "vehicle": "rendered",
            "date_captured": "2023-11-14", "location": city,
        }  # fmt: skip
        self.rows: dict[str, list[dict[str, Any]]] = {
            "log": [log], "scene": [], "sample": [], "sample_data": [], "ego_pose": [], "calibrated_sensor": []
        }  # fmt: skip

    def add_sensors(self, mounted: dict[str, tuple[Matrix, Matrix | None]]) -> None:
        """channel -> (ego_T_sensor, K or None)."""
        for channel, (ego_T_sensor, K) in mounted.items():
            self.rows["calibrated_sensor"].append(
                {"token": token(self._name, channel), "sensor_token": token("sensor", channel)}
                | pose_fields(ego_T_sensor)
                | {"camera_intrinsic": [] if K is None else K.tolist()}
            )

    def add_sample(self, since_s: float) -> str:
        """A key frame `since_s` after the first; its token."""
        name = token(self._name, "sample", len(self.rows["sample"]))
        self.rows["sample"].append(
            {"token": name, "timestamp": self._us(since_s), "scene_token": token(self._name, "scene")}
        )
        return name

    def add_capture(
        self,
        sample: str,
        channel: str,
        since_s: float,
        map_T_ego: Matrix,
        size: tuple[int, int] = (0, 0),
        is_key: bool = True,
    ) -> str:
        """A sensor's capture with the pose it was taken from; the name its file must have."""
        stamp, kind = self._us(since_s), "pcd" if channel == LIDAR else "jpg"
        file = f"{'samples' if is_key else 'sweeps'}/{channel}/{self._name}__{channel}__{stamp}"
        file += ".pcd.bin" if kind == "pcd" else ".jpg"
        name = token(self._name, channel, stamp)
        self.rows["ego_pose"].append({"token": name, "timestamp": stamp} | pose_fields(map_T_ego))
        self.rows["sample_data"].append(
            {
                "token": name, "sample_token": sample, "ego_pose_token": name, "filename": file,
                "calibrated_sensor_token": token(self._name, channel), "timestamp": stamp, "fileformat": kind,
                "is_key_frame": is_key, "width": size[0], "height": size[1],
            }
        )  # fmt: skip
        self.files.append(file)
        return file

    def close(self) -> None:
        """Chain samples and captures, and add the scene."""
        samples, captures = self.rows["sample"], self.rows["sample_data"]
        _chain(samples)
        for sensor in self.rows["calibrated_sensor"]:
            own = [row for row in captures if row["calibrated_sensor_token"] == sensor["token"]]
            _chain(sorted(own, key=lambda row: row["timestamp"]))
        scene = {
            "token": token(self._name, "scene"), "log_token": self.rows["log"][0]["token"], "name": self._name,
            "nbr_samples": len(samples), "first_sample_token": samples[0]["token"],
            "last_sample_token": samples[-1]["token"], "description": f"rendered by mapkd: {self._name}",
        }  # fmt: skip
        self.rows["scene"].append(scene)

    def _us(self, since_s: float) -> int:
        return self._start_us + round(since_s * 1e6)


def pose_fields(a_T_b: Matrix) -> dict[str, list[float]]:
    """translation and rotation (w x y z) of a matrix."""
    rotation = np.roll(rotation_to_quaternion(a_T_b[:3, :3]), 1)
    return {"translation": a_T_b[:3, 3].tolist(), "rotation": rotation.tolist()}


def _chain(rows: list[dict[str, Any]]) -> None:
    names = ["", *[row["token"] for row in rows], ""]
    for row, before, after in zip(rows, names[:-2], names[2:], strict=True):
        row |= {"prev": before, "next": after}
