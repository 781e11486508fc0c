# SPDX-License-Identifier: Apache-2.0
"""Parameters of the map node, all groups together. Settings of the network live in its checkpoint."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mapkd_ros.parameter_groups import (
    CameraParameters,
    DecodeParameters,
    DiagnosticsParameters,
    FrameParameters,
    FusionParameters,
    LidarParameters,
    MemoryParameters,
    ModelParameters,
    PublishParameters,
    QosParameters,
    SyncParameters,
    WatchParameters,
)
from mapkd_ros.parameters import parameter
from mapkd_ros.sync_policy import SyncPolicy


@dataclass(frozen=True)
class MapParameters:
    autostart: bool = parameter(True, "configure and activate by itself; false = wait for a lifecycle manager")
    model: ModelParameters = field(default_factory=ModelParameters)
    cameras: CameraParameters = field(default_factory=CameraParameters)
    sync: SyncParameters = field(default_factory=SyncParameters)
    frames: FrameParameters = field(default_factory=FrameParameters)
    qos: QosParameters = field(default_factory=QosParameters)
    lidar: LidarParameters = field(default_factory=LidarParameters)
    fusion: FusionParameters = field(default_factory=FusionParameters)
    memory: MemoryParameters = field(default_factory=MemoryParameters)
    publish: PublishParameters = field(default_factory=PublishParameters)
    diagnostics: DiagnosticsParameters = field(default_factory=DiagnosticsParameters)
    watch: WatchParameters = field(default_factory=WatchParameters)
    decode: DecodeParameters = field(default_factory=DecodeParameters)
    decode_threads: int = parameter(2, "threads that decode images as they arrive", 1, 16)

    def __post_init__(self) -> None:
        count = len(self.cameras.names)
        for name in self.cameras.names:
            if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
                raise ValueError(f"parameter cameras.names: {name!r} is no part of a topic; use letters, digits and _")
        if len({name.lower() for name in self.cameras.names}) < count:
            raise ValueError("parameter cameras.names: two names differ in case only, and topics are in lower case")
        for name, values in (("transports", self.cameras.transports), ("frame_ids", self.cameras.frame_ids)):
            if len(values) not in (1, count):
                raise ValueError(
                    f"parameter cameras.{name}: {len(values)} values for {count} cameras; give 1 or {count}"
                )
        if len(self.cameras.frame_ids) == 1 < count and self.cameras.frame_ids[0]:
            raise ValueError(f"parameter cameras.frame_ids: one frame for {count} cameras; give {count}")
        self.policy()

    def transport(self, camera: str) -> str:
        """auto, raw or compressed."""
        transports = self.cameras.transports
        return transports[self.cameras.names.index(camera)] if len(transports) > 1 else transports[0]

    def frame_ids(self) -> dict[str, str]:
        """camera -> TF frame, only where one is set."""
        return {name: frame for name, frame in zip(self.cameras.names, self.cameras.frame_ids, strict=False) if frame}

    def policy(self) -> SyncPolicy:
        """The synchroniser's policy; ValueError when the parameters contradict each other."""
        sync = self.sync
        return SyncPolicy(
            cameras=self.cameras.names,
            anchor=sync.anchor,
            max_skew_ns=_nanoseconds(sync.max_skew_s),
            wait_ns=_nanoseconds(sync.wait_s),
            silent_ns=_nanoseconds(sync.silent_s),
            missing=sync.missing,
            min_cameras=sync.min_cameras,
            max_reuse_age_ns=_nanoseconds(sync.max_reuse_age_s),
            jump_back_ns=_nanoseconds(sync.jump_back_s),
        )


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
