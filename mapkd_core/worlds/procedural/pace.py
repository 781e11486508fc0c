# SPDX-License-Identifier: Apache-2.0
"""How fast a route is driven: by its bends, by where one may have to stop, and by what a passenger likes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mapkd_core.worlds.procedural.curve import Curve

LEAD_IN_M = 12.0  # of route before the first pose, for whoever follows


def travelled_at(
    route: Curve, times: NDArray[np.float64], speed: float, stops: list[float], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Distance along the route at each time: limited by curves, by stops and by what a passenger likes."""
    s = route.s
    curvature = np.abs(np.gradient(route.heading, s))
    limit = np.minimum(speed, np.sqrt(rng.uniform(1.2, 2.2) / np.maximum(curvature, 1e-4)))
    waits = {}
    for stop in [x for x in stops if x > LEAD_IN_M + 8 and rng.random() < 0.3]:
        waits[int(np.searchsorted(s, stop))] = rng.exponential(4.0)
    held = np.array([i for i in waits if i < len(s)], int)
    limit[held] = 0.0
    limit[s > route.length - 9] = 0.0
    first = int(np.searchsorted(s, LEAD_IN_M))
    braking, pull = rng.uniform(1.2, 2.2), rng.uniform(0.8, 1.8)
    if rng.random() < 0.2:
        limit[first] = 0.0  # starts from standing, as after a light
    v = limit.copy()
    for i in range(len(v) - 2, -1, -1):
        v[i] = min(v[i], np.sqrt(v[i + 1] ** 2 + 2 * braking * (s[i + 1] - s[i])))
    for i in range(first + 1, len(v)):
        v[i] = min(v[i], np.sqrt(v[i - 1] ** 2 + 2 * pull * (s[i] - s[i - 1])))
    mean = np.maximum((v[1:] + v[:-1]) / 2, 0.05)
    passing = np.diff(s) / mean
    clock = np.concatenate([[0.0], np.cumsum(passing)])
    for index, wait in waits.items():
        clock[index + 1 :] += wait
    clock -= clock[first]
    # Distance over time has a flat part for every wait: two rows, arrival and departure, at the same place.
    at = np.concatenate([clock, [clock[i] + w for i, w in waits.items() if i < len(s)]])
    where = np.concatenate([s, s[held]])
    order = np.argsort(at, kind="stable")
    return np.minimum(np.interp(times, at[order], where[order]), route.length - 8)
