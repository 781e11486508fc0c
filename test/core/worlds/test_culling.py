# SPDX-License-Identifier: Apache-2.0
"""What is not in a picture costs nothing; what is near is drawn; heights of static things are looked up once."""

import numpy as np
import pytest

from mapkd_core.worlds import drive, procedural, rig
from mapkd_core.worlds.appearance import draw_look
from mapkd_core.worlds.canvas import Canvas
from mapkd_core.worlds.drive import Box
from mapkd_core.worlds.occluders import Occluders
from mapkd_core.worlds.relief import FLAT, Relief, first_met
from mapkd_core.worlds.render import Renderer
from mapkd_core.worlds.road_users_view import RoadUsersView
from mapkd_core.worlds.standing import standing
from mapkd_core.worlds.uprights import place

K = np.array([[280.0, 0, 176], [0, 280, 64], [0, 0, 1]])  # 352 x 128
AHEAD = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])  # map_T_camera: looks along map x


def car(x, y, *, length=4.5, width=1.8, height=1.5):
    return Box("VEHICLE", length, width, height, x, y, 0.3)


def canvas():
    return Canvas(np.zeros((128, 352, 3), np.uint8), K, AHEAD, draw_look(1))


def tasks(*boxes, walls=None):
    at = canvas()
    occluders = Occluders(at.width, at.height)
    if walls is not None:
        occluders.add(place(at, walls), np.ones(len(walls), bool))
    return at, RoadUsersView(1, np.random.default_rng(0)).tasks(at, standing(boxes, FLAT), occluders)


def wall(x, top):
    """A wall 60 m wide across the view, `top` m high."""
    return np.array([[[x, 30.0, 0], [x, -30.0, 0], [x, -30.0, top], [x, 30.0, top]]])


@pytest.mark.parametrize(
    "box",
    [
        car(-12.0, 0.0),  # behind the camera
        car(20.0, 40.0),  # far left of the field of view: 63 degrees, which has 32
        car(60.0, 0.0, length=0.3, width=0.3, height=0.4),  # 280 * 0.4 / 60 = 1.9 pixels high
        car(200.0, 0.0),
    ],
)
def test_what_cannot_be_seen_is_not_drawn(box):
    assert tasks(box)[1] == []


@pytest.mark.parametrize("box", [car(10.0, 0.0), car(4.0, 3.5), car(2.0, 0.0), car(80.0, 5.0)])
def test_what_is_in_the_picture_is_drawn(box):
    at, todo = tasks(car(-12.0, 0.0), box)
    assert len(todo) == 1
    todo[0][1](*todo[0][2])
    assert (at.image.sum(axis=2) > 0).sum() > 40


def test_people_are_drawn_and_culled_too():
    person = Box("PEDESTRIAN", 0.5, 0.6, 1.8, 10.0, 0.0, 0.0)
    assert len(tasks(person, person._replace(x=-10.0))[1]) == 1


def test_a_wall_hides_what_is_lower_and_behind_it():
    # Seen from 1.5 m a wall of 3 m 15 m away ends 28 pixels above the horizon; the car of 1.5 m lies below it.
    assert tasks(car(30.0, 0.0), walls=wall(15.0, 3.0))[1] == []
    assert len(tasks(car(10.0, 0.0), walls=wall(15.0, 3.0))[1]) == 1
    lorry = car(20.0, 0.0, length=9.0, width=2.5, height=4.0)  # its top shows 280 * 2.5 / 20 = 35 pixels
    assert len(tasks(lorry, walls=wall(15.0, 3.0))[1]) == 1


def test_poses_are_those_of_the_relief():
    relief = Relief(np.array([[0.8, 0.05, 0.02, 0.3], [0.3, -0.02, 0.08, 1.0]]), np.array([0.5, 0.01, -0.02]))
    users = standing([car(10.0, 5.0)], relief)
    c, s = np.cos(0.3), np.sin(0.3)
    lifted = relief.lifted([[c, -s, 0, 10.0], [s, c, 0, 5.0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert np.allclose(users.map_R_box[0], lifted[:3, :3]) and np.allclose(users.place[0], lifted[:3, 3])


def test_rays_of_all_columns_meet_the_ground_as_one_by_one():
    rng = np.random.default_rng(3)
    levels, inverse = rng.normal(0, 1, (12, 5)).cumsum(axis=0), np.linspace(1, 0.01, 12)
    wanted = rng.normal(0, 3, (20, 5))
    skyline = np.maximum.accumulate(levels, axis=0)
    each = [np.interp(wanted[:, i], skyline[:, i], inverse, right=0.0) for i in range(5)]
    assert np.allclose(first_met(levels, inverse, wanted), np.stack(each, -1), atol=1e-9)


def test_static_heights_are_looked_up_when_the_world_is_built(monkeypatch):
    road_map = procedural.make_road_map(300001)
    renderer = Renderer(road_map, 300001, effects=False, near_cell_m=0.1)
    beside = renderer.scene.roadside
    asked = []
    height = Relief.height
    monkeypatch.setattr(Relief, "height", lambda self, xy: (asked.append(np.shape(xy)), height(self, xy))[1])
    renderer.frame(drive.duration(road_map) / 2, rig.nuscenes_rig())
    statics = {beside.walls.start.shape, beside.billboards.foot.shape}
    assert asked and not statics & set(asked) and len(asked) < 60
