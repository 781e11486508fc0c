# SPDX-License-Identifier: Apache-2.0
"""How far the lines of a navigation map lie from the roads: across, in heading, along the way, and what is missing.

A line is compared with the carriageway it stands for: every STEP_M a cut across it meets the drivable area, and the
middle of the carriageway (or of two with a median) nearest to the line is where it should be. Junctions, where no cut
has two kerbs, are left out. Asymmetric roads count as error, too: a navigation map's axis is not where the middle of
the asphalt is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from mapkd_core.worlds import polylines
from mapkd_core.worlds.area import drivable_area
from mapkd_core.worlds.road_map import RoadMap

STEP_M = 5.0
CUT_M = 20.0  # half length of a cut; pieces that reach its ends are junctions or squares
NEAR_M = 8.0  # a carriageway whose middle is farther away is another road
MEDIAN_M = 6.0  # widest median that one line may stand for
WIDTH_M = (4.0, 28.0)
LAGS_M = (10.0, 20.0, 40.0, 80.0)
MISSING_M, MISSING_RAD = 10.0, np.radians(30)
# OpenStreetMap's highway values that nuScenes maps; service roads and footways mostly are not in its map.
ROAD_TYPES = ("motorway", "trunk", "primary", "secondary", "tertiary", "residential", "unclassified", "road")


class Offsets(NamedTuple):
    """One line: N samples every STEP_M.

    point, normal: N x 2, map frame; the normal points left. offset: metres that the line lies to the left of the middle
    of its carriageway, NaN where there is none.
    """

    point: NDArray[np.float64]
    normal: NDArray[np.float64]
    offset: NDArray[np.float64]


def is_road(kind: str) -> bool:
    """Whether a highway value stands for a street: links count with their road."""
    return kind.removesuffix("_link") in ROAD_TYPES


def road_lines(road_map: RoadMap) -> list[NDArray[np.float64]]:
    """The navigation lines of streets; all where the map has no types."""
    kinds = road_map.sd_road_types or ("road",) * len(road_map.sd_roads)
    return [line for line, kind in zip(road_map.sd_roads, kinds, strict=True) if is_road(kind)]


def offsets(lines: Sequence[NDArray[np.float64]], area: shapely.Geometry) -> list[Offsets]:
    """Samples of every line (V x 2, map frame) that is longer than two steps."""
    shapely.prepare(area)
    found = []
    for line in lines:
        length = polylines.arc_lengths(line)[-1]
        if length < 2 * STEP_M:
            continue
        s = np.arange(STEP_M / 2, length, STEP_M)
        heading, point = polylines.heading_at(line, s), polylines.at(line, s)
        normal = np.stack([-np.sin(heading), np.cos(heading)], -1)
        cuts = shapely.linestrings(np.stack([point - CUT_M * normal, point + CUT_M * normal], 1))
        pieces = shapely.intersection(cuts, area)
        middle = np.array([_middle(piece, p, n) for piece, p, n in zip(pieces, point, normal, strict=True)])
        found.append(Offsets(point, normal, middle))
    return found


def statistics(maps: Sequence[RoadMap]) -> dict[str, Any]:
    """Summary over maps. Metres and degrees; deviations are robust (1.4826 times the median of absolute values).

    shift: length of the best common shift of each map, mean over maps; rest: deviation of what remains without it.
    correlation: of `rest` between samples of one line LAGS_M apart. missing: share of the length of lane centrelines
    without a line near by in their direction. segment: median distance between vertices.
    """
    lateral, rest, shifts, headings, missing, lengths, segments = [], [], [], [], [], [], []
    pairs: dict[float, list[NDArray[np.float64]]] = {lag: [] for lag in LAGS_M}
    for road_map in maps:
        lines = road_lines(road_map)
        samples = offsets(lines, drivable_area(road_map))
        segments += [np.hypot(*np.diff(line, axis=0).T) for line in lines]
        headings.append(_heading_errors(samples, road_map))
        gone, total = _missing(lines, road_map)
        missing.append(gone)
        lengths.append(total)
        if (values := _values(samples)).size < 10:
            continue
        shift = _common_shift(samples)
        shifts.append(float(np.hypot(*shift)))
        lateral.append(values)
        freed = [s._replace(offset=s.offset - s.normal @ shift) for s in samples]
        rest.append(_values(freed))
        for lag, found in _pairs(freed).items():
            pairs[lag] += found
    if not lateral:
        raise ValueError(f"no street of {[m.name for m in maps]} lies beside a navigation line: nothing to measure")
    together, left = np.concatenate(lateral), np.concatenate(rest)
    return {
        "maps": len(maps),
        "samples": len(together),
        "lateral": _spread(together),
        "shift": float(np.mean(shifts)),
        "rest": _spread(left),
        "correlation": {f"{lag:g}": _correlation(found, left) for lag, found in pairs.items()},
        "heading_deg": _spread(np.degrees(np.concatenate(headings))),
        "missing": float(sum(missing) / max(sum(lengths), 1e-9)),
        "segment": float(np.median(np.concatenate(segments))),
    }


def _middle(piece: shapely.Geometry, point: NDArray[np.float64], normal: NDArray[np.float64]) -> float:
    """Where the line lies from the middle of what it stands for, along the normal; NaN where that is not clear.

    A line stands for a carriageway, or for two with a median between them: the nearest of these middles counts.
    """
    along = [(shapely.get_coordinates(part) - point) @ normal for part in shapely.get_parts(piece)]
    pieces = sorted((float(a.min()), float(a.max())) for a in along if len(a) > 1)
    pieces += [(a[0], b[1]) for a, b in pairwise(pieces) if b[0] - a[1] < MEDIAN_M]
    whole = [(a, b) for a, b in pieces if a > -CUT_M + 0.1 and b < CUT_M - 0.1 and WIDTH_M[0] < b - a < WIDTH_M[1]]
    middle = min(((a + b) / 2 for a, b in whole), key=abs, default=np.inf)
    return -middle if abs(middle) < NEAR_M else float("nan")


def _values(samples: Sequence[Offsets]) -> NDArray[np.float64]:
    together = np.concatenate([np.zeros(0), *(s.offset for s in samples)])
    return together[np.isfinite(together)]


def _common_shift(samples: Sequence[Offsets]) -> NDArray[np.float64]:
    """2: the shift of the whole map that explains most: offset = normal . shift, by least squares with few outliers."""
    normal = np.concatenate([s.normal[np.isfinite(s.offset)] for s in samples])
    values = _values(samples)
    shift = np.zeros(2)
    for _ in range(5):
        near = np.abs(values - normal @ shift) < 4.0
        shift = np.linalg.lstsq(normal[near], values[near], rcond=None)[0]
    return shift


def _pairs(samples: Sequence[Offsets]) -> dict[float, list[NDArray[np.float64]]]:
    """Lag -> N x 2 offsets of samples of one line that far apart."""
    out: dict[float, list[NDArray[np.float64]]] = {}
    for lag in LAGS_M:
        step = round(lag / STEP_M)
        both = [np.stack([s.offset[:-step], s.offset[step:]], -1) for s in samples if len(s.offset) > step]
        out[lag] = [rows[np.isfinite(rows).all(axis=1)] for rows in both]
    return out


def _correlation(found: list[NDArray[np.float64]], values: NDArray[np.float64]) -> float:
    """Mean product over variance, NaN where there are few pairs or nothing varies."""
    rows = np.concatenate([np.zeros((0, 2)), *found]).clip(-6, 6)
    variance = float((values.clip(-6, 6) ** 2).mean())
    if len(rows) <= 20 or variance < 1e-12:
        return float("nan")
    return float((rows[:, 0] * rows[:, 1]).mean()) / variance


def _spread(values: NDArray[np.float64]) -> dict[str, float]:
    size = np.abs(values)
    return {
        "median": float(np.median(size)),
        "deviation": float(1.4826 * np.median(size)),
        "p90": float(np.percentile(size, 90)),
    }


def _heading_errors(samples: Sequence[Offsets], road_map: RoadMap) -> NDArray[np.float64]:
    """Radians between each sample with a carriageway and the nearest lane centreline, modulo pi."""
    lanes = [line for line in road_map.centrelines if len(line) > 1]
    kept = [(s.point[np.isfinite(s.offset)], s.normal[np.isfinite(s.offset)]) for s in samples]
    point = np.concatenate([np.zeros((0, 2)), *(p for p, _ in kept)])
    if not lanes or not len(point):
        return np.zeros(0)
    normal = np.concatenate([n for _, n in kept])
    starts, steps = _segments(lanes)
    tree = shapely.STRtree(shapely.linestrings(np.stack([starts, starts + steps], 1)))
    index, apart = tree.query_nearest(shapely.points(point), all_matches=False, return_distance=True)
    step = steps[index[1]]
    turn = np.arctan2(step[:, 1], step[:, 0]) - np.arctan2(-normal[index[0], 0], normal[index[0], 1])
    turn = (turn + np.pi / 2) % np.pi - np.pi / 2
    # A lane that crosses at an angle is a turn of a junction.
    return turn[(apart < 12.0) & (np.abs(turn) < MISSING_RAD)]


def _missing(lines: Sequence[NDArray[np.float64]], road_map: RoadMap) -> tuple[float, float]:
    """Metres of lane centrelines without a line within MISSING_M that runs their way, and all metres."""
    lanes = [polylines.resampled(line, STEP_M) for line in road_map.centrelines if len(line) > 1]
    if not lanes:
        return 0.0, 0.0
    starts, steps = _segments(lanes)
    length = np.hypot(*steps.T)
    if not lines:
        return float(length.sum()), float(length.sum())
    line_starts, line_steps = _segments(lines)
    tree = shapely.STRtree(shapely.linestrings(np.stack([line_starts, line_starts + line_steps], 1)))
    one, other = tree.query(shapely.points(starts + steps / 2), predicate="dwithin", distance=MISSING_M)
    turn = np.arctan2(*steps[one].T[::-1]) - np.arctan2(*line_steps[other].T[::-1])
    same = np.abs((turn + np.pi / 2) % np.pi - np.pi / 2) < MISSING_RAD
    has = np.zeros(len(starts), bool)
    has[one[same]] = True
    return float(length[~has].sum()), float(length.sum())


def _segments(lines: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Starts and steps (N x 2) of all segments."""
    starts = np.concatenate([line[:-1] for line in lines])
    steps = np.concatenate([np.diff(line, axis=0) for line in lines])
    real = np.hypot(*steps.T) > 1e-6
    return starts[real], steps[real]
