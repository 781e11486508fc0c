# SPDX-License-Identifier: Apache-2.0
"""Swapped cameras and calibrations that are no longer true, told from the road's motion through the pictures.

`mapkd_ros.mount_check` finds what names and headers give away. Here the pictures themselves speak: that finds a driver
that swaps two cameras together with their frame ids, and a camera that somebody bumped against.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import cache
from itertools import combinations, product
from typing import Any

import numpy as np

from mapkd_core.geometry import Matrix, from_euler, inverse
from mapkd_core.robustness.flow import View, agreement, road_points, views
from mapkd_core.types import Frame

LEAST_MOVE_M, MOST_MOVE_M = 1.5, 5.0  # between the two pictures that are compared
PAIRS = 6  # pairs of pictures before anything is said
SWAP_MARGIN = 0.12  # of the mean correlation
TURN_MARGIN = 0.12  # a wall or a pavement beside a side camera gives 0.1 at times
TURN_STEP_DEG, TURN_STEPS = 1.5, 2  # turns that are tried about the camera's x (pitch) and y (yaw)
_STILL = np.eye(3)
_SIGNS = range(-TURN_STEPS, TURN_STEPS + 1)
_TURNS = {(a, b): from_euler(*np.radians(TURN_STEP_DEG * np.array([a, b, 0.0]))) for a, b in product(_SIGNS, _SIGNS)}


class MountWatch:
    """Frames of a drive in the order of their stamps; `faults` says what was found so far.

    Needs ego motion (`Frame.odom_T_ego`) and flat ground nearby; while the vehicle stands nothing is learned. Forgets
    slowly (`memory` pairs), so that a fault that is mended ends and one that begins is found.

    pause: called between the some two hundred parts of a comparison, for those who share their cores with other work.
    """

    def __init__(self, memory: int = 30, pause: Callable[[], None] = lambda: None) -> None:
        self._keep, self._pause = 1 - 1 / memory, pause
        self._before: tuple[Matrix, dict[str, View]] | None = None
        self._swaps: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])  # weight, sum of gains
        self._turns: dict[str, dict[tuple[int, int], float]] = defaultdict(lambda: dict.fromkeys(_TURNS, 0.0))
        self._pairs: dict[str, float] = defaultdict(float)

    def look(self, frame: Frame) -> bool:
        """Whether the frame was compared with one before."""
        if frame.odom_T_ego is None:
            return False
        if self._before is None:
            self._before = frame.odom_T_ego, views(frame)
            return False
        before_T_now = inverse(self._before[0]) @ frame.odom_T_ego
        moved_m = float(np.linalg.norm(before_T_now[:2, 3]))
        if moved_m < LEAST_MOVE_M:
            return False
        now, before = views(frame), self._before[1]
        self._before = frame.odom_T_ego, now
        if moved_m > MOST_MOVE_M:
            return False
        self._compare(now, before, before_T_now)
        return True

    def faults(self) -> dict[str, str]:
        """Camera -> what is wrong with it, with the remedy: swapped cameras and turned mounts."""
        swaps = "its pictures fit the mount of {}: are the two swapped? check topics and cables"
        turns = "the road fits a mount turned by about {:.1f} degrees better: calibrate it again"
        return {name: turns.format(degrees) for name, degrees in self.turned().items()} | {
            name: swaps.format(other) for name, other in self.swapped().items()
        }

    def swapped(self) -> dict[str, str]:
        """Camera -> the one whose mount its pictures fit."""
        found: dict[str, str] = {}
        for (one, other), (weight, gain) in sorted(self._swaps.items(), key=lambda item: -item[1][1]):
            if weight >= PAIRS * 0.8 and gain / weight > SWAP_MARGIN and not found.keys() & {one, other}:
                found |= {one: other, other: one}
        return found

    def turned(self) -> dict[str, float]:
        """Camera that is not swapped -> degrees by which another mount fits the road better."""
        found, swapped = {}, self.swapped()
        for name, scores in self._turns.items():
            if name in swapped or self._pairs[name] < PAIRS * 0.8:
                continue
            best = max(scores, key=lambda turn: scores[turn])
            gain = (scores[best] - scores[0, 0]) / self._pairs[name]
            if gain > TURN_MARGIN:
                found[name] = TURN_STEP_DEG * float(np.hypot(*best))
        return found

    def _compare(self, now: dict[str, View], before: dict[str, View], before_T_now: Matrix) -> None:
        names = [name for name in now if name in before]
        road = cache(lambda shape, mount: road_points(shape, now[mount]))
        own: dict[str, float] = {}
        for name in names:
            pair = (now[name], before[name])
            shown = road(now[name].texture.shape, name)
            scores = {turn: self._agreement(pair, pair, before_T_now, matrix, shown) for turn, matrix in _TURNS.items()}
            own[name] = scores[0, 0]
            if not np.isnan(list(scores.values())).any():
                self._pairs[name] = self._keep * self._pairs[name] + 1
                for turn, score in scores.items():
                    self._turns[name][turn] = self._keep * self._turns[name][turn] + score
        for one, other in combinations(names, 2):
            crossed = [
                self._agreement(
                    (now[a], before[a]), (now[b], before[b]), before_T_now, _STILL, road(now[a].texture.shape, b)
                )
                for a, b in ((one, other), (other, one))
            ]  # fmt: skip
            gain = (sum(crossed) - own[one] - own[other]) / 2
            if not np.isnan(gain):
                kept = self._swaps[one, other]
                kept[:] = [self._keep * kept[0] + 1, self._keep * kept[1] + gain]

    def _agreement(self, *given: Any) -> float:
        self._pause()
        return agreement(*given)
