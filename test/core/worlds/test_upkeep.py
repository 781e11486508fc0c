# SPDX-License-Identifier: Apache-2.0
"""Old paint keeps clear of the truth, kerbs drop for cameras and LiDAR alike, low things and spans stand clear."""

from dataclasses import replace

import numpy as np
import pytest
import shapely

from mapkd_core.grid import BevGrid
from mapkd_core.worlds import overhead, procedural, rig, symbols
from mapkd_core.worlds.appearance import draw_look
from mapkd_core.worlds.area import drivable_area
from mapkd_core.worlds.canvas import Canvas
from mapkd_core.worlds.dropped import DroppedKerbs
from mapkd_core.worlds.ghosts import CLEAR_M, ghost_paint
from mapkd_core.worlds.ground import GroundPainter
from mapkd_core.worlds.kerbs import Kerbs
from mapkd_core.worlds.lidar import Lidar
from mapkd_core.worlds.lidar.surfaces import Kind
from mapkd_core.worlds.lidar.surfaces import kerbs as lidar_kerbs
from mapkd_core.worlds.markings import DARK, SCAR
from mapkd_core.worlds.road_map import RoadMap
from mapkd_core.worlds.roadside import NOTHING_BESIDE, Roadside, build_roadside
from mapkd_core.worlds.roadside_textures import BUSHES
from mapkd_core.worlds.upkeep import Upkeep, draw_upkeep
from mapkd_core.worlds.walls import Billboards

AREA = shapely.MultiPolygon([shapely.box(-60, -7, 60, 7)])
GRID = BevGrid(-40.0, 40.0, -16.0, 16.0, 0.4)
PLAIN = replace(
    draw_look(0), light="overcast", sun=0.0, wear=0.0, stains=0.0, edge_line="none", kerb="plain", kerb_height_m=0.2,
    kerb_colour=(200.0, 200.0, 200.0), asphalt=(100.0, 100.0, 100.0), asphalt_grain=0.0, upkeep=Upkeep(),
)  # fmt: skip


def kept(**upkeep):
    return replace(PLAIN, upkeep=Upkeep(**upkeep))


def road_map() -> RoadMap:
    """A road along x, kerbs at y = -7 and 7, dividers at -3.5, 0, 3.5, a crossing over it at x = 10 to 14."""
    xs = np.linspace(-60, 60, 61)

    def line(y: float) -> np.ndarray:
        return np.stack([xs, np.full_like(xs, y)], -1)

    crossing = np.array([[10.0, -7.0], [14.0, -7.0], [14.0, 7.0], [10.0, 7.0]])
    lanes = (line(-5.25), line(-1.75), line(1.75)[::-1], line(5.25)[::-1])
    ego = np.column_stack([np.arange(0, 2, 0.1), np.arange(0, 20, 1.0), np.full(20, -1.75), np.zeros(20)])
    return RoadMap("upkeep", (line(0.0), line(-3.5), line(3.5)), (line(7.0), line(-7.0)[::-1]), (crossing,), lanes, ego)


def test_most_worlds_have_little_of_each():
    drawn = [draw_upkeep(seed) for seed in range(1000)]
    assert np.mean([u.ghosts > 0 for u in drawn]) == pytest.approx(0.30, abs=0.05)
    assert np.mean([u.special == "setts" for u in drawn]) == pytest.approx(0.06, abs=0.025)
    assert np.mean([u.spans > 0 for u in drawn]) == pytest.approx(0.28, abs=0.05)
    assert draw_upkeep(7) == draw_upkeep(7)


def test_ghosts_keep_clear_of_every_divider_of_the_map():
    world = road_map()
    dividers = shapely.multilinestrings([shapely.linestrings(line) for line in world.dividers])
    along = 0
    for seed in range(12):
        for paint in ghost_paint(world, kept(ghosts=1.0), seed):
            assert shapely.Polygon(paint.outline_m).distance(dividers) > CLEAR_M
            along += np.ptp(paint.outline_m[:, 0]) > 1.0
    assert along > 50
    assert ghost_paint(world, PLAIN, 1) == []


def test_ghosts_show_in_the_picture_and_not_in_the_lidar():
    world = road_map()
    old, plain = (GroundPainter(world, AREA, look, 3, GRID) for look in (kept(ghosts=1.0), PLAIN))
    grid = BevGrid(-40.0, 40.0, -16.0, 16.0, 0.1)
    difference = old.paint(grid).astype(int) - plain.paint(grid)
    assert (difference[..., 0] < -15).sum() > 100
    dark = [paint for paint in old.paints if paint.colour in (DARK, SCAR)]
    assert dark and not [paint for paint in plain.paints if paint.colour in (DARK, SCAR)]
    only_dark = GroundPainter(world, AREA, PLAIN, 3, GRID)
    only_dark.paints = dark
    assert not only_dark.coverage(grid).any()


def test_slabs_change_the_road_and_nothing_beside_it():
    world, grid = road_map(), BevGrid(-40.0, 40.0, -16.0, 16.0, 0.1)
    slabs = kept(special="slabs", special_share=1.0, special_colour=(180.0, 180.0, 175.0))
    changed, plain = (GroundPainter(world, AREA, look, 3, GRID).paint(grid).astype(int) for look in (slabs, PLAIN))
    y = np.abs(grid.centres()[:, 0, 1])
    assert np.array_equal(changed[y > 7.4], plain[y > 7.4])
    lane = (y > 4.5) & (y < 6.0)
    assert np.median(changed[lane][..., 0]) > 170 > 120 > np.median(plain[lane][..., 0])


def test_kerb_is_flush_at_the_crossing_and_whole_elsewhere():
    found = DroppedKerbs(road_map(), AREA, 1e-9)  # crossings only
    points = np.array([[12.0, 7.0], [10.0, -7.0], [14.7, 7.0], [16.0, 7.0], [-30.0, 7.0]])
    assert found.height_share(points) == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0], abs=1e-6)
    assert DroppedKerbs(road_map(), AREA, 0.0).height_share(points) == pytest.approx(1.0)
    ups = lidar_kerbs(AREA, 0.2, dropped=found)
    middle, top = (ups.start + ups.end) / 2, ups.z[:, 1]
    at_crossing = (middle[:, 0] > 9.7) & (middle[:, 0] < 14.3) & (np.abs(middle[:, 1]) > 6.9)
    assert not at_crossing.any()  # no face at all: LiDAR looks through
    assert top[np.abs(middle[:, 0] - 12) > 4] == pytest.approx(0.2)


def test_every_apron_is_one_polygon_also_round_tight_corners():
    """World 125 has a driveway round a corner so tight that the ground behind it falls into two parts."""
    area = drivable_area(made := procedural.make_road_map(125))
    assert {apron.geom_type for apron in DroppedKerbs(made, area, draw_look(125).upkeep.dropped).aprons} == {"Polygon"}


def test_camera_sees_no_face_where_the_kerb_is_dropped():
    """A camera 1.5 m high at (12, 0) looks at the crossing's kerb 7 m away: nothing stands in its middle columns."""
    found = DroppedKerbs(road_map(), AREA, 1e-9)
    camera = rig.scaled(rig.nuscenes_rig(), 352, 198)[0]
    map_T_camera = np.array([[1, 0, 0, 12.0], [0, 0, 1, 0.0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
    pictures = []
    for dropped in (None, found):
        image = np.zeros((camera.height, camera.width, 3), np.uint8)
        Kerbs(AREA, PLAIN, np.random.default_rng(0), dropped=dropped).draw(
            Canvas(image, camera.K, map_T_camera, PLAIN), map_T_camera[:2, 3]
        )
        pictures.append((image[:, 160:190, 0] > 0).sum(axis=0))
    whole, flush = pictures
    assert whole.min() >= 7  # 0.2 m at 7 m is 8 pixels
    assert flush.max() <= 3  # its top alone, seen flat


def test_lidar_finds_the_footway_at_the_roads_level_behind_a_dropped_kerb():
    found = DroppedKerbs(road_map(), AREA, 1e-9)
    lidar = Lidar(NOTHING_BESIDE, AREA, np.zeros(GRID.shape, np.uint8), GRID, 0.2, dropped=found)
    pose = np.eye(4)
    pose[0, 3] = 12.0
    points = lidar.sweep(lambda _: pose, lambda _: [], 1.0).points
    beside = (points[:, 1] > 7.2) & (points[:, 1] < 7.9)
    at_crossing = beside & (np.abs(points[:, 0]) < 1.5)
    away = beside & (np.abs(points[:, 0]) > 4) & (np.abs(points[:, 0]) < 10)
    assert at_crossing.sum() > 20 and away.sum() > 20
    assert np.median(points[at_crossing, 2]) == pytest.approx(0.0, abs=0.02)
    assert np.median(points[away, 2]) == pytest.approx(0.2, abs=0.02)


def test_bushes_answer_the_lidar_from_the_ground_up():
    feet = np.column_stack([np.full(9, 8.0), np.linspace(-4, 4, 9)])
    boards = Billboards(feet, np.tile([1.8, 1.0], (9, 1)), np.full(9, BUSHES[0]))
    lidar = Lidar(Roadside(NOTHING_BESIDE.walls, boards, ()), AREA, np.zeros(GRID.shape, np.uint8), GRID, 0.0)
    points = lidar.sweep(lambda _: np.eye(4), lambda _: [], 1.0).points
    on = points[(np.abs(points[:, 0] - 8) < 0.75) & (np.abs(points[:, 1]) < 4) & (points[:, 2] > 0.1)]
    assert len(on) > 100
    assert 0.7 < on[:, 2].max() < 1.05
    assert np.percentile(on[:, 2], 10) < 0.3


def test_low_things_stand_beside_the_road_near_the_drive():
    world = road_map()
    distance = GroundPainter(world, AREA, PLAIN, 3, GRID).distance
    beside = build_roadside(distance, GRID, world.ego, kept(bushes=1.0, railings=1.0), np.random.default_rng(1))
    plain = build_roadside(distance, GRID, world.ego, PLAIN, np.random.default_rng(1))
    bushes = beside.billboards.foot[np.isin(beside.billboards.texture, BUSHES)]
    assert len(bushes) > 10
    assert (np.abs(bushes[:, 1]) > 7.0).all()
    assert not np.isin(plain.billboards.texture, BUSHES).any()
    assert len(beside.walls.start) > len(plain.walls.start)
    common = len(plain.billboards.foot)  # what stood there stands there still
    assert np.array_equal(beside.billboards.foot[:common], plain.billboards.foot)


def test_spans_hang_over_the_road_and_their_posts_stand_beside_it():
    track = road_map().ego[:, 1:3]
    for seed in range(20):
        ribs = list(overhead.spans(1, track, lambda p: np.abs(p[:, 1]) - 7.0, np.random.default_rng(seed)))
        assert ribs
        for rib in ribs:
            over_road = (np.abs(rib.outline[:, 1]) < 7.0).any() or np.ptp(np.sign(rib.outline[:, 1])) > 0
            assert rib.top > rib.bottom
            assert rib.bottom >= overhead.CLEARANCE_M if over_road else True


def test_symbols_before_junctions_lie_in_their_lanes():
    world = road_map()
    lanes = shapely.multilinestrings([shapely.linestrings(line) for line in world.centrelines])
    found = list(symbols.approach_symbols(world, 1.0, np.random.default_rng(0)))
    assert len(found) > 3
    assert max(shapely.Point(v).distance(lanes) for outline in found for v in outline) < 1.75
    assert not list(symbols.approach_symbols(world, 0.0, np.random.default_rng(0)))


def test_kinds_of_lidar_surfaces_are_kerbs():
    assert (lidar_kerbs(AREA, 0.2).kind == Kind.KERB).all()
