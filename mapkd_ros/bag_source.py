# SPDX-License-Identifier: Apache-2.0
"""A bag as the replay node plays it: mapkd's topic names whatever the converter, messages as CDR. No ROS import."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mapkd_core.bags.read import BagDrive
from mapkd_core.bags.replay import ReplayTopic, replay_messages, replay_topics


class BagSource:
    """topics: (name, type_name, is_latched). camera_topics: images and camera_info, what a map node must hear.

    calibration: file that fills in what the bag lacks. ValueError or FileNotFoundError for a bag that cannot be read.
    """

    def __init__(self, path: Path, calibration: Path | None = None) -> None:
        self._drive = BagDrive(path, calibration=calibration)
        self.topics: tuple[ReplayTopic, ...] = replay_topics(self._drive)
        cameras = tuple(f"/{name.lower()}/" for name in self._drive.dialect.cameras)
        self.camera_topics = tuple(topic.name for topic in self.topics if topic.name.startswith(cameras))

    @property
    def problems(self) -> tuple[str, ...]:
        """What a user should know before playing: cut-off bag, cameras without calibration."""
        lacking = (f"{camera}: {why}" for camera, why in self._drive.rig.missing.items())
        return (*(f"{text} ({count} times)" for text, count in self._drive.problems.items()), *lacking)

    def messages(self) -> Iterator[Any]:
        """(topic, type_name, stamp_ns, data) in bag time; may be called again."""
        return replay_messages(self._drive)

    def close(self) -> None:
        self._drive.reader.close()
