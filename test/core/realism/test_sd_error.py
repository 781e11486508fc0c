# SPDX-License-Identifier: Apache-2.0
"""The measured error of navigation lines: roads for which it is known."""

import numpy as np
import pytest
import shapely

from mapkd_core.realism.sd_error import offsets, road_lines, statistics
from mapkd_core.worlds.priors.sd import SdError, with_error
from mapkd_core.worlds.road_map import RoadMap

EGO = np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 5.0, 0.0, 0.0]])


def line(x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
    return np.array([[x0, y0], [x1, y1]])


def road_map(area, sd_roads, lanes, kinds=()) -> RoadMap:
    drivable = shapely.MultiPolygon([part for part in shapely.get_parts(area) if part.geom_type == "Polygon"])
    return RoadMap("m", (), (), (), lanes, EGO, sd_roads=sd_roads, sd_road_types=kinds, drivable=drivable)


def test_offset_is_measured_from_the_middle_of_the_asphalt():
    """A road 8 m wide along x, its line 1.5 m to the left of the middle."""
    (found,) = offsets([line(-50, 1.5, 50, 1.5)], shapely.box(-80, -4, 80, 4))
    assert len(found.offset) == 20 and found.offset == pytest.approx(1.5)
    (back,) = offsets([line(50, 1.5, -50, 1.5)], shapely.box(-80, -4, 80, 4))
    assert back.offset == pytest.approx(-1.5)


def test_one_line_may_stand_for_two_carriageways():
    both = shapely.union(shapely.box(-80, 1.5, 80, 8.5), shapely.box(-80, -8.5, 80, -1.5))
    assert offsets([line(-50, 0.4, 50, 0.4)], both)[0].offset == pytest.approx(0.4)
    assert offsets([line(-50, 5.5, 50, 5.5)], both)[0].offset == pytest.approx(0.5)


def test_squares_and_far_roads_are_left_out():
    assert np.isnan(offsets([line(-50, 0, 50, 0)], shapely.box(-80, -60, 80, 60))[0].offset).all()
    assert np.isnan(offsets([line(-50, 15, 50, 15)], shapely.box(-80, -4, 80, 4))[0].offset).all()


def test_common_shift_heading_and_missing_lanes():
    """Two roads that cross far away from where lines are measured; the map is 1.5 m east and 0.5 m south."""
    area = shapely.union(shapely.box(0, -4, 400, 4), shapely.box(-4, 50, 4, 400))
    lines = (line(20, 0, 380, 0) + (1.5, -0.5), line(0, 60, 0, 380) + (1.5, -0.5))
    lanes = (line(0, 1, 400, 1), line(1, 60, 1, 380), line(1000, 0, 1240, 0))
    found = statistics([road_map(area, lines, lanes)])
    assert found["shift"] == pytest.approx(np.hypot(1.5, 0.5))
    assert found["rest"]["p90"] == pytest.approx(0, abs=1e-6)
    assert found["lateral"]["p90"] == pytest.approx(1.5)
    assert found["heading_deg"]["p90"] == pytest.approx(0, abs=1e-6)
    # The third lane, 240 m of 960, has no line; of the first, some metres before and after the line have none either.
    assert found["missing"] == pytest.approx(240 / 960, abs=0.04)
    turned = (line(20, -9.4, 380, 9.4),)  # 3 degrees
    assert statistics([road_map(area, turned, lanes)])["heading_deg"]["median"] == pytest.approx(2.99, abs=0.01)


def test_only_streets_are_measured():
    kinds = ("secondary_link", "service", "footway")
    found = road_lines(road_map(shapely.box(0, 0, 9, 9), tuple(line(0, i, 9, i) for i in range(3)), (), kinds))
    assert len(found) == 1 and found[0][0, 1] == 0


def test_made_error_is_measured_as_it_was_made():
    """40 parallel roads: the measured shift, deviation and correlation along the road are the stated ones."""
    error = SdError(
        shift_m=0.0, road_m=0.0, field_m=1.0, field_length_m=40.0, vertex_m=0.0, dropped=0.0, spacing_m=10.0
    )
    rest, correlation = [], {"20": [], "40": []}
    for seed in range(12):
        roads = [line(0, 40 * i, 300, 40 * i) for i in range(8)]
        area = shapely.union_all([shapely.box(-20, 40 * i - 4, 320, 40 * i + 4) for i in range(8)])
        lines, _ = with_error(roads, np.random.default_rng(seed), error)
        samples = offsets(lines, area)
        values = np.stack([s.offset[:55] for s in samples])
        rest.append(values)
        for lag, found in correlation.items():
            step = int(lag) // 5
            found.append(np.nanmean(values[:, :-step] * values[:, step:]))
    together = np.concatenate(rest)
    assert np.nanstd(together) == pytest.approx(1.0, rel=0.12)
    variance = np.nanvar(together)
    assert np.mean(correlation["20"]) / variance == pytest.approx(np.exp(-0.125), abs=0.06)
    assert np.mean(correlation["40"]) / variance == pytest.approx(np.exp(-0.5), abs=0.1)


def test_maps_without_streets_say_so():
    with pytest.raises(ValueError, match=r"no street of \['m'\]"):
        statistics([road_map(shapely.box(0, 0, 50, 8), (), (line(0, 1, 50, 1),))])
