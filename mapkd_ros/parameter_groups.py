# SPDX-License-Identifier: Apache-2.0
"""The map node's parameters by what they are about: what a user tunes, with its unit; see `map_parameters`."""

from __future__ import annotations

from dataclasses import dataclass

from mapkd_ros.parameters import parameter
from mapkd_ros.sync_policy import MISSING_POLICIES

_NUSCENES_CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")

TRANSPORTS = ("auto", "raw", "compressed")


@dataclass(frozen=True)
class ModelParameters:
    weights: str = parameter("", "checkpoint (.safetensors); empty = the one shipped with mapkd")
    backend: str = parameter("auto", "runtime of the network: auto, or one of docs/performance.md")
    device: str = parameter("auto", "device of the network: auto, cpu, cuda or cuda:N")
    vectors: str = parameter("auto", "where polylines come from: auto, query or raster")
    min_confidence: float = parameter(
        -1.0, "polylines below it are left out; -1 = as the model card says", -1.0, 1.0, live=True
    )
    threads: int = parameter(0, "threads of the network; 0 = the runtime's choice", 0, 256)
    warm_up: bool = parameter(True, "predict once on black images before the first real frame")

    def confidence(self) -> float | None:
        """What Mapper takes; None = as the card says."""
        return None if self.min_confidence < 0 else self.min_confidence


@dataclass(frozen=True)
class CameraParameters:
    names: tuple[str, ...] = parameter(_NUSCENES_CAMERAS, "camera names; topics are <name in lower case>/image ...")
    transports: tuple[str, ...] = parameter(
        ("auto",),
        "raw, compressed, or auto (whichever comes first): one for all cameras or one per camera",
        choices=TRANSPORTS,
    )
    frame_ids: tuple[str, ...] = parameter(("",), "TF frame per camera, where image headers lack it; empty = header's")
    images_are_rectified: bool = parameter(False, "images come from image_proc: use P of CameraInfo, ignore D")


@dataclass(frozen=True)
class SyncParameters:
    anchor: str = parameter("CAM_FRONT", "camera whose capture time stamps the output")
    max_skew_s: float = parameter(
        0.05, "largest distance of a camera's capture time from the anchor's [s]", 0.0, 1.0, live=True
    )
    wait_s: float = parameter(
        0.1, "longest wait for the other cameras after the anchor's frame [s]", 0.0, 5.0, live=True
    )
    silent_s: float = parameter(0.5, "a camera silent for so long is not waited for [s]", 0.01, 60.0, live=True)
    missing: str = parameter("mask", "what to do without a camera's frame", choices=MISSING_POLICIES, live=True)
    min_cameras: int = parameter(1, "fewest cameras that make an output", 1, 8, live=True)
    max_reuse_age_s: float = parameter(0.3, "oldest frame that missing: reuse takes [s]", 0.0, 5.0, live=True)
    jump_back_s: float = parameter(
        1.0,
        "stamps that go back by more restart everything at once; by less with the third frame [s]",
        0.05,
        3600.0,
        live=True,
    )


@dataclass(frozen=True)
class FrameParameters:
    base: str = parameter("base_link", "ego frame: x forward, y left, z up; the maps are in it")
    odom: str = parameter("odom", "frame in which the ego moves smoothly, for TF without an odometry topic")


@dataclass(frozen=True)
class QosParameters:
    image_reliability: str = parameter("best_effort", "of image inputs (REP-2003)", choices=("best_effort", "reliable"))
    image_depth: int = parameter(5, "queue of image inputs", 1, 100)


@dataclass(frozen=True)
class DiagnosticsParameters:
    period_s: float = parameter(1.0, "period of /diagnostics, on the steady clock [s]", 0.05, 60.0)
    max_image_age_s: float = parameter(0.5, "a camera without an image for longer is stale [s]", 0.01, 60.0, live=True)
    warn_output_age_s: float = parameter(0.5, "WARN when no map went out for longer [s]", 0.01, 3600.0, live=True)
    error_output_age_s: float = parameter(2.0, "ERROR when no map went out for longer [s]", 0.01, 3600.0, live=True)
    warn_latency_ms: float = parameter(300.0, "WARN when capture to publishing takes longer [ms]", 1.0, 1e6, live=True)


@dataclass(frozen=True)
class DecodeParameters:
    reduced: bool = parameter(
        True, "decode JPEGs no larger than the network needs (docs/performance.md: what it costs); false = every pixel"
    )


@dataclass(frozen=True)
class LidarParameters:
    turns: int = parameter(2, "turns joined into one cloud by odometry, as the network was trained", 1, 20, live=True)
    max_age_s: float = parameter(
        0.3, "newest turn at a picture's stamp; without one that new the map is made without [s]", 0.0, 5.0, live=True
    )


@dataclass(frozen=True)
class FusionParameters:
    enabled: bool = parameter(False, "fuse successive maps by odometry and publish map/local")
    radius_m: float = parameter(60.0, "what is farther from the vehicle is forgotten [m]", 5.0, 500.0)
    max_misses: int = parameter(5, "looked at and not found so often in a row, a vertex is gone", 1, 1000)
    min_hits: int = parameter(1, "found so often, a line is published", 1, 1000)


@dataclass(frozen=True)
class MemoryParameters:
    enabled: bool = parameter(
        True, "while cameras are lost, map/semantic_map tells what was seen before; needs odometry", live=True
    )
    max_age_s: float = parameter(15.0, "what was seen longer ago is forgotten [s]", 0.1, 3600.0, live=True)
    always: bool = parameter(
        False, "also while no camera is lost: every cell tells what was seen of it from nearest", live=True
    )


@dataclass(frozen=True)
class PublishParameters:
    semantic_map: bool = parameter(True, "publish map/semantic_map; false saves 80 kB per class and map", live=True)


@dataclass(frozen=True)
class WatchParameters:
    pictures: bool = parameter(True, "tell black, overexposed and frozen pictures", live=True)
    mounts: bool = parameter(
        True, "tell swapped cameras and stale calibration by the road's motion; needs odometry", live=True
    )
    pictures_period_s: float = parameter(0.25, "pictures are looked at so often [s]", 0.0, 60.0, live=True)
    mounts_period_s: float = parameter(
        2.0,
        "rest after two pictures 1.5 to 5 m apart were compared; 6 such pairs make a verdict [s]",
        0.0,
        60.0,
        live=True,
    )
