# SPDX-License-Identifier: Apache-2.0
"""A bag as a drive: cameras with calibration, frames assembled around the anchor camera, and the truth.

Offline and deterministic: the same bag always gives the same frames, whatever the machine. Two passes: the first
collects stamps, poses and calibration (survey.py), the second carries the pictures.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rosbags.serde import SerdeError

from mapkd_core.bags import from_messages
from mapkd_core.bags.bag_file import PRIOR_TOPICS
from mapkd_core.bags.dialects import identify
from mapkd_core.bags.grouping import collect, group
from mapkd_core.bags.poses import PoseTrack
from mapkd_core.bags.rig import BagRig
from mapkd_core.bags.storage import BagMessage, BagReader
from mapkd_core.bags.survey import capture_ns, survey
from mapkd_core.bags.typestore import typestore
from mapkd_core.data.calibration import Calibration, read_calibration
from mapkd_core.data.reduced import Picture, Reduction, decode, whole
from mapkd_core.geometry import Matrix, apply, inverse
from mapkd_core.types import Camera, Frame, MapElement

log = logging.getLogger(__name__)


class Truth(NamedTuple):
    """The true map in the ego frame at `stamp_ns`; `labelled` are the classes it speaks about."""

    stamp_ns: int
    elements: tuple[MapElement, ...]
    labelled: tuple[str, ...]


class BagDrive:
    """Opens a bag of any dialect; use as a context manager.

    calibration: a file (docs/formats.md) or its content, for bags without camera_info or without TF; what it says goes
        before what the bag says.
    anchor: the camera whose images make the frames; its stamp is the frame's.
    max_skew_s: furthest stamp of another camera; shorter than the period, or a lost image is replaced by its neighbour
        instead of being counted.
    reduction: how much smaller JPEGs are decoded; the cameras of a frame then have the calibration of that size.
    rig: calibration and mounts.
    counts: "frames", "missing CAM_X" (no image near enough), "rejected CAM_X" (image or size unusable), "no pose", ...
    problems: what the bag does wrong, in words, with how often.
    """

    def __init__(
        self,
        path: Path | str,
        calibration: Path | str | Calibration | None = None,
        *,
        anchor: str = "CAM_FRONT",
        max_skew_s: float = 0.06,
        base_frame: str = "base_link",
        reduction: Reduction = whole,
    ) -> None:
        sidecar = read_calibration(calibration) if isinstance(calibration, (str, Path)) else calibration
        self.reader = BagReader(path)
        try:
            self.dialect = identify(self.reader.topics)
            self.survey = survey(self.reader, self.dialect)
        except BaseException:
            self.reader.close()
            raise
        self.rig = BagRig(self.reader.path, self.dialect, self.survey, sidecar or Calibration({}), base_frame)
        self.max_skew_ns, self.reduction = round(max_skew_s * 1e9), reduction
        self.counts: Counter[str] = Counter()
        self.problems = self.survey.problems
        self.anchor = anchor if anchor in self.dialect.cameras else self._other_anchor(anchor)
        if self.reader.damage:
            self.problems[f"bag {self.reader.path}: {self.reader.damage}"] += 1
        self.poses = self._pose_track()

    def __enter__(self) -> BagDrive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reader.close()

    def frames(self, wanted_ns: Collection[int] | None = None) -> Iterator[Frame]:
        """Frames in stamp order; a camera that gave nothing usable has `image` None and is counted.

        wanted_ns: only those of these stamps, all without; what is left out is not decoded either.
        """
        self.counts.clear()
        rig = {camera.name: camera for camera in self.rig.cameras}
        streams = {name: self.dialect.cameras[name].image.name for name in rig}
        if self.dialect.lidar:
            streams["lidar"] = self.dialect.lidar
        stamps = {name: self.survey.stamps_ns[topic] for name, topic in streams.items()}
        groups = group(self.anchor, stamps, self.max_skew_ns)
        if wanted_ns is not None:
            groups = [grouped for grouped in groups if grouped[0] in wanted_ns]
        for stamp_ns, messages in collect(self.reader, streams, groups):
            yield self._frame(stamp_ns, rig, messages)
            self.counts["frames"] += 1

    def truth(self) -> dict[int, Truth]:
        """Stamp -> truth, for each message on the truth topic; empty where the bag has none."""
        truths = {}
        for message in self.reader.messages({self.dialect.truth or ""}):
            content = _content(message)
            stamp_ns = capture_ns(message)
            labelled = from_messages.labelled(content.model_id)
            truths[stamp_ns] = Truth(stamp_ns, from_messages.elements(content), labelled)
        return truths

    def priors(self) -> dict[str, tuple[MapElement, ...]]:
        """Kind (sd, hd) -> map from before the drive, in the frame of `Frame.odom_T_ego`; those that the bag has."""
        kinds = {topic: kind for kind, topic in PRIOR_TOPICS.items()}
        found = {kinds[message.topic]: _content(message) for message in self.reader.messages(kinds)}
        return {kind: from_messages.elements(content) for kind, content in found.items()}

    def _other_anchor(self, wanted: str) -> str:
        chosen = max(self.dialect.cameras, key=lambda name: self.dialect.cameras[name].image.count)
        self.problems[f"no camera {wanted}; {chosen} is the anchor"] += 1
        return chosen

    def _pose_track(self) -> PoseTrack | None:
        """odom_T_ego by /odom, else by TF above the base frame."""
        if self.survey.odometry is not None:
            return self.survey.odometry
        above = self.survey.tree.parent(self.rig.base_frame)
        return above[1] if above else None

    def _frame(self, stamp_ns: int, rig: dict[str, Camera], messages: dict[str, BagMessage | None]) -> Frame:
        odom_T_ego = self.poses.at(stamp_ns) if self.poses else None
        if odom_T_ego is None:
            self.counts["no pose"] += 1
        cameras = tuple(self._camera(rig[name], messages[name], stamp_ns, odom_T_ego) for name in rig)
        points = self._points(messages.get("lidar"), odom_T_ego)
        return Frame(cameras, stamp_ns, points, odom_T_ego)

    def _camera(self, camera: Camera, message: BagMessage | None, frame_ns: int, odom_T_ego: Matrix | None) -> Camera:
        picture, stamp_ns = None, frame_ns
        if message is None:
            self.counts[f"missing {camera.name}"] += 1
        else:
            stamp_ns = capture_ns(message)
            try:
                picture = _picture(message, self.reduction)
                if picture.size != (camera.width, camera.height):
                    found = " x ".join(map(str, picture.size))
                    raise ValueError(f"image is {found}, not {camera.width} x {camera.height}")
            except (ValueError, SerdeError) as error:
                picture = None
                self.counts[f"rejected {camera.name}"] += 1
                self.problems[f"{message.topic}: {error}"] += 1
                log.warning("%s at %d ns rejected: %s", message.topic, stamp_ns, error)
        moved = self._moved(stamp_ns, odom_T_ego) @ camera.ego_T_camera
        placed = Camera(camera.name, None, camera.K, moved, camera.width, camera.height, stamp_ns)
        return placed if picture is None else picture.of(placed)

    def _moved(self, stamp_ns: int, odom_T_ego: Matrix | None) -> Matrix:
        """Where the vehicle was at `stamp_ns`, seen from where it is at the frame's stamp; identity without poses."""
        then = self.poses.at(stamp_ns) if self.poses else None
        return np.eye(4) if odom_T_ego is None or then is None else inverse(odom_T_ego) @ then

    def _points(self, message: BagMessage | None, odom_T_ego: Matrix | None) -> NDArray[np.float32] | None:
        if message is None:
            return None
        try:
            points = from_messages.points(_content(message))
        except (ValueError, KeyError, SerdeError) as error:
            self.counts["rejected lidar"] += 1
            self.problems[f"{message.topic}: {error}"] += 1
            return None
        ego_T_lidar = self.rig.ego_T_lidar()
        if ego_T_lidar is None:
            self.counts["rejected lidar"] += 1
            return None
        points[:, :3] = apply(self._moved(capture_ns(message), odom_T_ego) @ ego_T_lidar, points[:, :3])
        return points


def _picture(message: BagMessage, reduction: Reduction) -> Picture:
    content = _content(message)
    if message.type_name == from_messages.COMPRESSED_IMAGE:
        return decode(content.format, content.data, reduction)
    return Picture(from_messages.image(message.type_name, content))


def _content(message: BagMessage) -> Any:
    return typestore().deserialize_cdr(message.data, message.type_name)
