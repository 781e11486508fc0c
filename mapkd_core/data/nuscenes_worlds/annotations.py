# SPDX-License-Identifier: Apache-2.0
"""Boxes of road users as nuScenes' instances and annotations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.nuscenes_worlds.tables import CATEGORIES, pose_fields
from mapkd_core.data.nuscenes_worlds.tokens import token
from mapkd_core.geometry import apply, apply_planar, inverse, planar
from mapkd_core.worlds import drive
from mapkd_core.worlds.relief import FLAT, Relief
from mapkd_core.worlds.road_map import Agent, RoadMap

RANGE_M = 80.0  # boxes farther from the vehicle are not annotated
_ATTRIBUTES = {
    "VEHICLE": ("vehicle.parked", "vehicle.moving"),
    "PEDESTRIAN": ("pedestrian.standing", "pedestrian.moving"),
    "CYCLIST": ("cycle.with_rider", "cycle.with_rider"),
}


class Annotations:
    """Collects the boxes of one scene."""

    def __init__(self, road_map: RoadMap, scene: str) -> None:
        self._road_map, self._scene = road_map, scene
        self._rows: dict[int, list[dict[str, Any]]] = {}

    def add(
        self,
        sample: str,
        time_s: float,
        map_T_ego: NDArray[np.float64],
        points: NDArray[np.float32],
        relief: Relief = FLAT,
    ) -> None:
        """Boxes at one sample; points (P x 3 or more, ego frame) count for `num_lidar_pts`.

        relief: map frame. Poses stay planar, as in nuScenes: boxes stand as high as the vehicle sees them stand.
        """
        ground = relief.seen_from(map_T_ego)
        ego_T_map = inverse(map_T_ego)
        cloud = apply(map_T_ego, points[:, :3])
        boxes = drive.boxes_at(self._road_map, time_s)
        for index, box in zip(drive.present(self._road_map, time_s), boxes, strict=True):
            if np.hypot(box.x - map_T_ego[0, 3], box.y - map_T_ego[1, 3]) < RANGE_M:
                rows = self._rows.setdefault(int(index), [])
                foot = float(ground.height(apply_planar(ego_T_map, (box.x, box.y))))
                rows.append(self._row(int(index), sample, box, foot, _inside(cloud - (0, 0, foot), box), len(rows)))

    def finished(self) -> dict[str, list[dict[str, Any]]]:
        """Tables instance and sample_annotation, annotations of one instance chained in time."""
        instances = []
        for index, rows in sorted(self._rows.items()):
            names = ["", *[row["token"] for row in rows], ""]
            for row, before, after in zip(rows, names[:-2], names[2:], strict=True):
                row |= {"prev": before, "next": after}
            kind = self._road_map.agents[index].kind
            instances.append(
                {
                    "token": token(self._scene, "instance", index), "nbr_annotations": len(rows),
                    "category_token": token("category", CATEGORIES[kind]),
                    "first_annotation_token": names[1], "last_annotation_token": names[-2],
                }
            )  # fmt: skip
        return {"instance": instances, "sample_annotation": [row for i in sorted(self._rows) for row in self._rows[i]]}

    def _row(self, index: int, sample: str, box: drive.Box, foot: float, hits: int, number: int) -> dict[str, Any]:
        pose = planar(box.x, box.y, box.yaw)
        pose[2, 3] = foot + box.height / 2  # a nuScenes box is named by its centre
        return {
            "token": token(self._scene, "annotation", index, number), "sample_token": sample,
            "instance_token": token(self._scene, "instance", index), "visibility_token": "4" if hits else "1",
            "attribute_tokens": _attributes(self._road_map.agents[index]),
            "size": [box.width, box.length, box.height], "num_lidar_pts": hits, "num_radar_pts": 0,
        } | pose_fields(pose)  # fmt: skip


def _attributes(agent: Agent) -> list[str]:
    if agent.kind not in _ATTRIBUTES:
        return []
    return [token("attribute", _ATTRIBUTES[agent.kind][len(agent.poses) > 1])]


def _inside(cloud: NDArray[np.float64], box: drive.Box) -> int:
    c, s = np.cos(box.yaw), np.sin(box.yaw)
    offset = cloud[:, :2] - (box.x, box.y)
    along, across = np.abs(offset @ (c, s)), np.abs(offset @ (-s, c))
    between = (cloud[:, 2] >= 0) & (cloud[:, 2] <= box.height)  # what passes below a car hits the road
    return int(np.sum((along <= box.length / 2) & (across <= box.width / 2) & between))
