# SPDX-License-Identifier: Apache-2.0
"""The raster of where no camera looks now, out of what was seen there a moment ago.

Where a camera died the vehicle goes on seeing with the others, and drives: ground that the front cameras saw lies
behind it some seconds later. Rasters are kept with their pose in the odometry frame, one every few metres, and laid
under the newest map by rigid motion in the plane. Lines are not touched: `MapFusion` keeps those.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapkd_core.geometry import Matrix, inverse
from mapkd_core.grid import BevGrid
from mapkd_core.tracking.motion import MotionWatch
from mapkd_core.tracking.raster_motion import box_of, cells_then, distance2, seen_then
from mapkd_core.types import LocalMap

_ENOUGH = 0.002  # share of cells that may stay unknown: the search for more ends there


@dataclass(frozen=True)
class MemoryOptions:
    """max_age_s: older rasters are forgotten. step_m, step_rad: the vehicle moves so far between two that are kept.

    most: of them at a time; with `step_m` this is how far back the memory goes. least_blind: share of the cells; with
    less, the blind spots of a whole rig beside the vehicle, a map stays what the network makes of it, unless `always`.
    nearer: what is looked at now is remembered, too, where it was seen from less than this share of today's distance.
    """

    max_age_s: float = 15.0
    step_m: float = 2.5
    step_rad: float = 0.15
    most: int = 24
    least_blind: float = 0.08
    always: bool = False
    nearer: float = 0.7


class _Kept(NamedTuple):
    """pixels: Y X K+1 uint8, the layers beside each other and, last, 255 where a camera looked."""

    stamp_ns: int
    odom_T_ego: Matrix
    pixels: NDArray[np.uint8]


class RasterMemory:
    """`fill` maps in the order of their stamps. remembered: share of the last one that is blind now and seen before."""

    def __init__(self, options: MemoryOptions | None = None) -> None:
        self.options = options or MemoryOptions()
        self._kept: deque[_Kept] = deque(maxlen=self.options.most)
        self._motion = MotionWatch()
        self.remembered = 0.0

    def forget(self) -> None:
        """Begin anew, as where a drive begins."""
        self._kept.clear()
        self._motion.clear()
        self.remembered = 0.0

    def fill(self, local_map: LocalMap, odom_T_ego: ArrayLike | None) -> LocalMap:
        """The map with probabilities from before where nobody looks now, and where somebody looked from nearer then.

        `observed` stays as it is: it tells of now. A map without raster, and one whose pose is unknown, come back as
        they are. Stamps that go back and odometry that leaps make the memory begin anew.
        """
        self.remembered = 0.0
        if local_map.probability is None or local_map.observed is None or odom_T_ego is None:
            return local_map
        pose = np.asarray(odom_T_ego, np.float64)
        if self._motion.jump(local_map.stamp_ns, pose):
            self.forget()
        self._motion.step(local_map.stamp_ns, pose)
        oldest_ns = local_map.stamp_ns - round(1e9 * self.options.max_age_s)
        while self._kept and self._kept[0].stamp_ns < oldest_ns:
            self._kept.popleft()
        blind, probability = ~local_map.observed, None
        if self.options.always or blind.mean() >= self.options.least_blind:
            probability = self._filled(local_map.probability, blind, pose, local_map.grid)
        self._keep(local_map, pose)
        return local_map if probability is None else replace(local_map, probability=probability)

    def _filled(
        self, probability: NDArray[np.uint8], blind: NDArray[np.bool_], pose: Matrix, grid: BevGrid
    ) -> NDArray[np.uint8] | None:
        """None where nothing better is known."""
        found = None
        # How near a look must have been to count, squared: any will do where nobody looks now.
        best = np.where(blind, np.float32(np.inf), self.options.nearer**2 * distance2(grid, (0.0, 0.0)))
        for number, kept in enumerate(reversed(self._kept)):
            then_T_now = inverse(kept.odom_T_ego) @ pose
            away2 = distance2(grid, inverse(then_T_now)[:2, 3])
            # Of what is in sight or found every second look will do: half a step farther off is not much worse.
            wanted = away2 < best if number % 2 == 0 else np.isinf(best)
            box = box_of(wanted)
            if not box or wanted.mean() < _ENOUGH:
                continue
            then = seen_then(kept.pixels, cells_then(grid, then_T_now), box)
            taken = wanted[box] & (then[..., -1] == 255)
            if taken.any():
                found = probability.copy() if found is None else found
                found[:, box[0], box[1]][:, taken] = then[taken, :-1].T
                best[box][taken] = away2[box][taken]
        self.remembered = float((np.isfinite(best) & blind).mean())
        return found

    def _keep(self, local_map: LocalMap, pose: Matrix) -> None:
        """What was seen now, if the vehicle has moved on; what was remembered is not remembered again."""
        assert local_map.probability is not None and local_map.observed is not None
        if self._kept:
            moved = inverse(self._kept[-1].odom_T_ego) @ pose
            turned = abs(np.arctan2(moved[1, 0], moved[0, 0]))
            if np.hypot(*moved[:2, 3]) < self.options.step_m and turned < self.options.step_rad:
                return
        looked = np.where(local_map.observed, np.uint8(255), np.uint8(0))
        pixels = np.ascontiguousarray(np.concatenate([local_map.probability, looked[None]]).transpose(1, 2, 0))
        self._kept.append(_Kept(local_map.stamp_ns, pose, pixels))
