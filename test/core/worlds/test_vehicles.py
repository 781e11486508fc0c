# SPDX-License-Identifier: Apache-2.0
"""Vehicles are drawn inside the boxes that LiDAR meets, in kinds and colours that differ."""

import numpy as np
import pytest

from mapkd_core.worlds import vehicles
from mapkd_core.worlds.drive import Box
from mapkd_core.worlds.procedural.road_users import VEHICLES, vehicle

MIRROR_M = 0.2


@pytest.mark.parametrize("kind", list(VEHICLES))
def test_quads_fill_the_box_and_stay_in_it(kind):
    for seed in range(12):
        agent = vehicle(np.random.default_rng(seed), np.zeros((1, 4)), kind)
        box = Box("VEHICLE", agent.length, agent.width, agent.height, 0.0, 0.0, 0.0)
        corners, colours = vehicles.quads(box, seed)
        low, high = corners.reshape(-1, 3).min(axis=0), corners.reshape(-1, 3).max(axis=0)
        assert len(corners) == len(colours) > vehicles.DETAILS
        assert np.allclose(high[0] - low[0], box.length, rtol=0.02)
        assert box.width * 0.98 < high[1] - low[1] < box.width * 1.02 + 2 * MIRROR_M
        assert -0.01 < low[2] < 0.2 and 0.94 * box.height < high[2] < 1.01 * box.height
        assert colours.min() >= 0


def test_details_are_the_last_quads():
    """Without them a vehicle keeps its size: they are wheels, lamps, plates and mirrors only."""
    for kind in VEHICLES:
        agent = vehicle(np.random.default_rng(1), np.zeros((1, 4)), kind)
        box = Box("VEHICLE", agent.length, agent.width, agent.height, 0.0, 0.0, 0.0)
        body = vehicles.quads(box, 1)[0][: -vehicles.DETAILS].reshape(-1, 3)
        assert body[:, 2].max() > 0.94 * box.height and np.ptp(body[:, 0]) > 0.97 * box.length


def test_worlds_have_many_kinds_and_colours():
    rng = np.random.default_rng(0)
    agents = [vehicle(rng, np.zeros((1, 4))) for _ in range(300)]
    lengths = np.array([agent.length for agent in agents])
    assert (lengths > 13).sum() >= 2 and ((lengths > 6.2) & (lengths < 13)).sum() > 20
    boxes = [Box("VEHICLE", a.length, a.width, a.height, 0, 0, 0) for a in agents[:100]]
    assert len({tuple(np.round(vehicles.quads(b, 0)[1][5], -1)) for b in boxes}) > 15
