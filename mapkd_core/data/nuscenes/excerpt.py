# SPDX-License-Identifier: Apache-2.0
"""The records of one scene, cut out of nuScenes' tables: what a worker process needs instead of all of them.

The tables of v1.0-trainval take gigabytes and most of a minute to load; those of a scene are a fraction of a megabyte.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_Record = dict[str, Any]


@dataclass
class Excerpt:
    """Stands where the devkit's NuScenes stands: `get` and the list of scenes. It can be sent to another process."""

    records: dict[str, dict[str, _Record]] = field(default_factory=dict)  # table -> token -> record

    def get(self, table: str, token: str) -> _Record:
        """A record by its token."""
        return self.records[table][token]

    @property
    def scene(self) -> list[_Record]:
        """The table of scenes."""
        return list(self.records.get("scene", {}).values())

    def take(self, tables: Any, table: str, token: str) -> _Record:
        """Copy a record from larger tables."""
        record: _Record = tables.get(table, token)
        self.records.setdefault(table, {})[token] = record
        return record


def excerpt(tables: Any, scene: _Record, sweeps: int) -> Excerpt:
    """Samples of a scene with their cameras and `sweeps` turns of the LiDAR each, poses and mountings."""
    found = Excerpt()
    found.take(tables, "scene", scene["token"])
    found.take(tables, "log", scene["log_token"])
    token = scene["first_sample_token"]
    while token:
        sample = found.take(tables, "sample", token)
        for channel, captured in sample["data"].items():
            if channel.startswith("CAM_"):
                _capture(found, tables, captured)
            elif channel == "LIDAR_TOP":
                for _ in range(max(sweeps, 1)):
                    captured = _capture(found, tables, captured)["prev"]
                    if not captured:
                        break
        token = sample["next"]
    return found


def _capture(found: Excerpt, tables: Any, token: str) -> _Record:
    record = found.take(tables, "sample_data", token)
    found.take(tables, "ego_pose", record["ego_pose_token"])
    found.take(tables, "calibrated_sensor", record["calibrated_sensor_token"])
    return record
