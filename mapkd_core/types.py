# SPDX-License-Identifier: Apache-2.0
"""What goes into a map predictor and what comes out: plain numpy, no torch, no ROS.

Ego frame (REP-103): x forward, y left, z up, origin on the ground below the rear axle.
Metres, radians, nanoseconds. `a_T_b` is the 4x4 matrix that maps points of b to a.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid

CLASSES = ("divider", "ped_crossing", "boundary")
# BEVFusion's six, which may overlap: areas, but for the divider's lines. A network has these or CLASSES.
LAYERS = ("drivable_area", "ped_crossing", "walkway", "stop_line", "carpark_area", "divider")
SD_CLASS = "road"  # of elements that a navigation map (SD) gives; HD priors have those of CLASSES


class HeldImage(Protocol):
    """A picture that is more than an array, whose shape H W 3 and dtype uint8 it has.

    One in a GPU's memory (`data.tensor_images`), or one that the network has seen already (`data.encoded_image`).
    """

    dtype: np.dtype[np.uint8]

    @property
    def shape(self) -> tuple[int, ...]: ...

    def numpy(self) -> NDArray[np.uint8]:
        """Its array on the host; who brings it there waits for that."""


@dataclass(frozen=True)
class Camera:
    """One image with its calibration.

    image: H W 3 uint8 RGB, or None where the camera gave nothing for this frame. A network may have left it on its GPU,
        or seen it ahead; who looks at pixels on the host asks `pixels`.
    K: 3x3 pinhole intrinsics in pixels of an image of `width` x `height`.
    ego_T_camera: 4x4, camera optical frame (x right, y down, z forward) to the ego frame **at the frame's stamp**.
    """

    name: str
    image: NDArray[np.uint8] | HeldImage | None
    K: NDArray[np.float64]
    ego_T_camera: NDArray[np.float64]
    width: int
    height: int
    stamp_ns: int = 0

    @property
    def is_held(self) -> bool:
        return not isinstance(self.image, np.ndarray | None)

    @property
    def pixels(self) -> NDArray[np.uint8] | None:
        """The image on the host; one on a device comes down anew each time, and the caller waits."""
        return self.image if self.image is None or isinstance(self.image, np.ndarray) else self.image.numpy()


@dataclass(frozen=True)
class Frame:
    """What the vehicle saw at one instant.

    points: P x 4 or more, float32 x y z intensity ... in the ego frame; None without LiDAR. Of six columns, as
        `worlds.lidar.join_sweeps` makes them, the last two are ring and seconds from `stamp_ns`.
    odom_T_ego: pose of the ego frame at `stamp_ns`; None where unknown.
    sd, hd: elements of map priors in the ego frame, for teachers; None without such a map.
    """

    cameras: tuple[Camera, ...]
    stamp_ns: int = 0
    points: NDArray[np.float32] | None = None
    odom_T_ego: NDArray[np.float64] | None = None
    sd: tuple[MapElement, ...] | None = None
    hd: tuple[MapElement, ...] | None = None


@dataclass(frozen=True)
class MapElement:
    """One polyline or polygon of the map.

    vertices_m: V x 2 float, ordered along the element, ego metres. A closed element does not repeat its first vertex.
    confidence: 0..1, the model's score; 1 for truth.
    """

    class_name: str
    vertices_m: NDArray[np.floating]
    is_closed: bool = False
    confidence: float = 1.0


@dataclass(frozen=True)
class LocalMap:
    """The map around the vehicle at `stamp_ns`, valid inside `grid` and nowhere else.

    elements: sorted by confidence, highest first.
    probability: K Y X uint8, p = value / 255, layers in the order of `classes`; None where only vectors are known.
    observed: Y X bool, cells that at least one valid camera looks at; None = everywhere.
    valid_cameras: names of the cameras that took part.
    times_ms: stage -> wall time of this prediction.
    """

    grid: BevGrid
    elements: tuple[MapElement, ...]
    classes: tuple[str, ...] = CLASSES
    probability: NDArray[np.uint8] | None = None
    observed: NDArray[np.bool_] | None = None
    stamp_ns: int = 0
    valid_cameras: tuple[str, ...] = ()
    times_ms: dict[str, float] = field(default_factory=dict)
