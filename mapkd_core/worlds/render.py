# SPDX-License-Identifier: Apache-2.0
"""Renderer: what the cameras of a rig see of a road map at an instant of its drive.

Per camera: backdrop, ground, shadows of moving things, then kerbs and solids from far to near, then light and lens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.geometry import inverse
from mapkd_core.types import Camera, Frame
from mapkd_core.worlds import drive, weather
from mapkd_core.worlds.appearance import Look, draw_look
from mapkd_core.worlds.area import drivable_area, grid_around
from mapkd_core.worlds.backdrop import Backdrop
from mapkd_core.worlds.camera_effects import Lens
from mapkd_core.worlds.ground import LOW_CELL_M, GroundPainter
from mapkd_core.worlds.lidar import Lidar
from mapkd_core.worlds.moment import Moment, moment_at
from mapkd_core.worlds.relief import Relief, draw_relief
from mapkd_core.worlds.relief_view import draw_on_relief
from mapkd_core.worlds.road_map import RoadMap
from mapkd_core.worlds.roadside import NOTHING_BESIDE
from mapkd_core.worlds.sampling import GroundTexture, chosen_device, pyramid, sampler_on
from mapkd_core.worlds.solids import Scene
from mapkd_core.worlds.suspension import Suspension

NEAR_MARGIN_M, FAR_MARGIN_M = 66.0, 160.0
NEAR_CELL_M, FAR_CELL_M = 0.05, 0.2
SUPERSAMPLE_BELOW_PX = 800  # narrower pictures draw solids at twice the size


class Renderer:
    """One world: a road map with the look that `seed` gives it.

    look, relief: instead of those drawn from the seed (`relief.FLAT` for a plane). suspension: whether the body pitches
    and rolls on its springs; it is not told in the returned calibration, as on real vehicles. effects: lens and sensor.
    solids: whether anything stands on the ground. lidar_sweeps: how many turns of the LiDAR, the last ones before the
    frame's time, frames carry joined (`Frame.points`, P x 6: x y z intensity ring, seconds from the frame's time).
    device: cpu, cuda or auto: where the ground is sampled (`sampling`); grey levels differ by rounding between them.
    Building takes one to three seconds; `frame` is cheap and depends on its arguments and the seed only.
    """

    def __init__(
        self,
        road_map: RoadMap,
        seed: int,
        look: Look | None = None,
        *,
        relief: Relief | None = None,
        suspension: bool = True,
        effects: bool = True,
        solids: bool = True,
        near_cell_m: float = NEAR_CELL_M,
        lidar_sweeps: int = 0,
        device: str = "cpu",
    ) -> None:
        device = chosen_device(device)
        self.road_map, self.seed, self.look = road_map, seed, look or draw_look(seed)
        self.relief = draw_relief(seed) if relief is None else relief
        self._suspension = Suspension(road_map.ego, seed) if suspension else None
        self._effects, self._lidar_sweeps = effects, lidar_sweeps
        if abs(LOW_CELL_M / near_cell_m - round(LOW_CELL_M / near_cell_m)) > 1e-6:
            raise ValueError(
                f"near_cell_m = {near_cell_m}; {LOW_CELL_M} m must hold a whole number of cells: 0.05, 0.1"
            )
        area = drivable_area(road_map)
        low = grid_around(road_map.ego, FAR_MARGIN_M, LOW_CELL_M)
        painter = GroundPainter(road_map, area, self.look, seed, low)
        self.scene = Scene(
            road_map, area, painter.distance, low, self.look, seed,
            enabled=solids, relief=self.relief, dropped=painter.dropped,
        )  # fmt: skip
        painter.shadows = self.scene.static_shadows()
        near = grid_around(road_map.ego, NEAR_MARGIN_M, near_cell_m)
        far = grid_around(road_map.ego, FAR_MARGIN_M, FAR_CELL_M)
        self.texture = GroundTexture(pyramid(near, painter.paint(near), 4), pyramid(far, painter.paint(far), 4))
        self.sampler = sampler_on(device, self.texture)
        coverage = near.coarser(2)
        self._lidar = (
            Lidar(
                self.scene.roadside if solids else NOTHING_BESIDE,
                area,
                painter.coverage(coverage),
                coverage,
                self.look.kerb_height_m,
                seed=seed,
                wet=self.look.wet,
                relief=self.relief,
                dropped=painter.dropped,
            )
            if lidar_sweeps
            else None
        )
        self._backdrop = Backdrop(self.look, seed)
        self._lenses: dict[int, Lens] = {}

    def pose_at(self, time_s: float) -> NDArray[np.float64]:
        """map_T_ego (4x4) of the ego frame, which lies tangent on the relief; `drive.pose_at` is it seen from above."""
        return self.relief.lifted(drive.pose_at(self.road_map, time_s))

    def tilt_at(self, time_s: float) -> NDArray[np.float64]:
        """ego_T_body (4x4): what the suspension does at that time, and no calibration tells."""
        return self._suspension.tilt(time_s) if self._suspension else np.eye(4)

    def frame(self, time_s: float, rig: Sequence[Camera], camera_times_s: Sequence[float] | None = None) -> Frame:
        """The rig's pictures (each at its own width, height and K) at a time of the drive's clock, with the pose.

        camera_times_s: one exposure time per camera where they do not fire together; ego_T_camera then comes back with
        the motion from that time to `time_s` in it, as `Camera` demands.
        """
        times = [time_s] * len(rig) if camera_times_s is None else list(camera_times_s)
        if len(times) != len(rig):
            raise ValueError(f"{len(times)} camera times for {len(rig)} cameras; give one for each")
        map_T_ego = self.pose_at(time_s)
        rng = np.random.default_rng([self.seed, round(time_s * 1000) & 0xFFFFFFFF])
        moments = {t: moment_at(self.road_map, t, self._boxes(t)) for t in set(times)}
        cameras = []
        for index, (camera, at_s) in enumerate(zip(rig, times, strict=True)):
            map_T_then = self.pose_at(at_s)
            image = self._picture(camera, map_T_then @ self.tilt_at(at_s), moments[at_s], index, rng)
            pose = camera.ego_T_camera if at_s == time_s else inverse(map_T_ego) @ map_T_then @ camera.ego_T_camera
            cameras.append(replace(camera, image=image, ego_T_camera=pose, stamp_ns=round(at_s * 1e9)))
        points = None
        if self._lidar:
            points = self._lidar.joined(
                lambda t: self.pose_at(t) @ self.tilt_at(t), self._boxes, time_s, self._lidar_sweeps
            )
        return Frame(tuple(cameras), round(time_s * 1e9), points, map_T_ego)

    def true_frame(self, time_s: float, rig: Sequence[Camera]) -> Frame:
        """`frame`, with the suspension's tilt told in the calibration: to draw the truth where the pictures show it."""
        frame, tilt = self.frame(time_s, rig), self.tilt_at(time_s)
        cameras = tuple(replace(camera, ego_T_camera=tilt @ camera.ego_T_camera) for camera in frame.cameras)
        return replace(frame, cameras=cameras)

    def _boxes(self, time_s: float) -> list[drive.Box]:
        return drive.boxes_at(self.road_map, time_s) if self.scene.enabled else []

    def _picture(
        self,
        camera: Camera,
        map_T_ego: NDArray[np.float64],
        moment: Moment,
        index: int,
        rng: np.random.Generator,
    ) -> NDArray[np.uint8]:
        boxes = moment.boxes
        map_T_camera = map_T_ego @ camera.ego_T_camera
        image = self._backdrop.draw(camera.K, map_T_camera[:3, :3], camera.width, camera.height)
        _haze(image, draw_on_relief(image, self.sampler, camera.K, map_T_camera, self.relief), self.look)
        # Water and lights take the ground for the level plane below the vehicle.
        level = map_T_camera.copy()
        level[2, 3] -= float(self.relief.height(map_T_ego[:2, 3]))
        if self.scene.enabled:
            self.scene.draw_shadows(image, camera.K, map_T_camera, map_T_ego, boxes)
            bare = image.copy() if self.look.wet else image
            image = self._with_solids(image, camera, map_T_ego, boxes)
            if self.look.wet:
                weather.mirror(image, bare, camera.K, level, self.look.wet)
        if self._effects:
            image = self._lens(index).apply(image, camera, level, rng, moment)
        return image

    def _lens(self, index: int) -> Lens:
        if index not in self._lenses:
            beside = self.scene.roadside if self.scene.enabled else NOTHING_BESIDE
            self._lenses[index] = Lens(self.look, self.seed, index, beside)
        return self._lenses[index]

    def _with_solids(
        self, image: NDArray[np.uint8], camera: Camera, map_T_ego: NDArray[np.float64], boxes: Sequence[drive.Box]
    ) -> NDArray[np.uint8]:
        map_T_camera = map_T_ego @ camera.ego_T_camera
        if camera.width >= SUPERSAMPLE_BELOW_PX:
            self.scene.draw(image, camera.K, map_T_camera, map_T_ego, boxes)
            return image
        size = (camera.width, camera.height)
        large = cv2.resize(image, (2 * size[0], 2 * size[1]), interpolation=cv2.INTER_NEAREST)
        K = camera.K.copy()
        K[:2] *= 2
        K[:2, 2] += 0.5
        self.scene.draw(large, K, map_T_camera, map_T_ego, boxes)
        return cv2.resize(large, size, interpolation=cv2.INTER_AREA)


def _haze(image: NDArray[np.uint8], inverse_depths: NDArray[np.float32], look: Look) -> None:
    """Blend the ground into the haze by its distance, row by row."""
    inv = inverse_depths.mean(axis=1)
    rows = np.nonzero((inv > 1 / 400) & (inv > 1 / look.visibility_m / 4) & (inv < 1 / 12))[0]
    if len(rows):
        part = image[rows[0] : rows[-1] + 1]
        share = (1 - np.exp(-1 / (inv[rows[0] : rows[-1] + 1, None, None] * look.visibility_m))).astype(np.float32)
        part[:] = (part + (np.array(look.haze, np.float32) - part) * share).astype(np.uint8)
