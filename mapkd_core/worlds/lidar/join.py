# SPDX-License-Identifier: Apache-2.0
"""Several sweeps as one cloud: the vehicle's motion between them undone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mapkd_core.geometry import apply, inverse


class Sweep(NamedTuple):
    """One turn of the sensor.

    points: P x 6 float32 x y z in the ego frame **of the stamp** (motion during the turn undone), intensity 0..255,
    ring 0 (lowest) .. 31, seconds from the stamp (0 or less). map_T_ego: 4x4 pose at the stamp; time_s: the stamp.
    """

    points: NDArray[np.float32]
    map_T_ego: NDArray[np.float64]
    time_s: float


def join_sweeps(sweeps: Sequence[Sweep], map_T_ego: ArrayLike, time_s: float) -> NDArray[np.float32]:
    """P x 6 float32 as `Sweep.points`, all in the ego frame of `map_T_ego` and with times relative to `time_s`.

    What moves is smeared along its way, as in joined real sweeps. ValueError for sweeps without five columns or more;
    a sweep without times counts as taken at its stamp.
    """
    ego_T_map = inverse(map_T_ego)
    parts = [np.zeros((0, 6), np.float32)]
    for index, sweep in enumerate(sweeps):
        if sweep.points.ndim != 2 or sweep.points.shape[1] < 5:
            raise ValueError(
                f"sweep {index} has shape {sweep.points.shape}; want P x 5 or more: x y z intensity ring [time]"
            )
        part = np.zeros((len(sweep.points), 6), np.float32)
        part[:, : min(6, sweep.points.shape[1])] = sweep.points[:, :6]
        part[:, :3] = apply(ego_T_map @ sweep.map_T_ego, sweep.points[:, :3])
        part[:, 5] += np.float32(sweep.time_s - time_s)
        parts.append(part)
    return np.concatenate(parts)
