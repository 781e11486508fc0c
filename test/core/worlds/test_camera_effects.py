# SPDX-License-Identifier: Apache-2.0
"""Light, lens and sensor: each effect is there when its cause is, in the direction it must have, and not otherwise."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mapkd_core.geometry import planar
from mapkd_core.types import Camera
from mapkd_core.worlds import motion_blur, rig, weather
from mapkd_core.worlds.appearance import Look, draw_look
from mapkd_core.worlds.camera_effects import Lens
from mapkd_core.worlds.drive import Box
from mapkd_core.worlds.exposure import Exposure
from mapkd_core.worlds.glare import Glare
from mapkd_core.worlds.glass import Glass
from mapkd_core.worlds.lights import Lights, open_to
from mapkd_core.worlds.moment import STANDING, Moment, moment_at
from mapkd_core.worlds.road_map import Agent, RoadMap
from mapkd_core.worlds.roadside import NOTHING_BESIDE
from mapkd_core.worlds.walls import Billboards, Walls

FAST = Moment(0.0, (15.0, 0.0, 0.0))
NIGHT_S = 0.02


def look(light: str, seed: int = 3) -> Look:
    return replace(draw_look(seed), light=light, wet=0.0, ambient=(1.0, 1.0, 1.0))


def camera(name: str, width: int = 352) -> Camera:
    height = width * 9 // 16
    return next(c for c in rig.scaled(rig.nuscenes_rig(), width, height) if c.name == name)


def contrast(image: np.ndarray) -> tuple[float, float]:
    """Mean steps along rows and along columns."""
    grey = image[..., 0].astype(float)
    return float(np.abs(np.diff(grey, axis=1)).mean()), float(np.abs(np.diff(grey, axis=0)).mean())


def checker(width: int, height: int) -> np.ndarray:
    v, u = np.mgrid[:height, :width]
    return np.repeat((255 * ((u // 2 + v // 2) % 2)).astype(np.uint8)[..., None], 3, 2)


def test_flow_of_the_ground_is_what_two_pictures_of_it_show():
    """Ground points seen 1 ms apart move as the flow says, driving 15 m/s and turning 0.5 rad/s."""
    moment = Moment(0.0, (15.0, 0.0, 0.0), 0.5)
    for cam in rig.scaled(rig.nuscenes_rig(), 352, 198):
        flow = motion_blur.ground_flow(cam, cam.ego_T_camera, moment)
        v, u = int(0.9 * len(flow)), 3
        pixel = np.array([u / 11 * 351, v / (len(flow) - 1) * 197, 1.0])
        ray = cam.ego_T_camera[:3, :3] @ np.linalg.inv(cam.K) @ pixel
        point = cam.ego_T_camera[:3, 3] - ray * cam.ego_T_camera[2, 3] / ray[2]
        later = planar(0.015, 0.0, 0.0005) @ cam.ego_T_camera
        seen = cam.K @ (later[:3, :3].T @ (point - later[:3, 3]))
        assert np.allclose((seen[:2] / seen[2] - pixel[:2]) / 0.001, flow[v, u], rtol=0.02, atol=2.0), cam.name


def test_ground_beside_a_fast_vehicle_at_night_is_blurred_along_the_flow_only():
    """A side camera sees the road pass from side to side: steps along rows go, steps along columns stay."""
    side = camera("CAM_FRONT_LEFT")
    yaw = np.pi / 2  # looks straight left
    pose = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
    side = replace(side, ego_T_camera=planar(0, 0, yaw) @ pose + np.array([[0] * 4, [0] * 4, [0, 0, 0, 1.5], [0] * 4]))
    stripes = np.zeros((side.height, side.width, 3), np.uint8)
    stripes[:, ::4], stripes[:, 1::4] = 255, 255
    lying = np.zeros_like(stripes)
    lying[::4], lying[1::4] = 255, 255
    low = slice(150, None)
    upright, flat = (motion_blur.blur(im, side, side.ego_T_camera, FAST, NIGHT_S)[low] for im in (stripes, lying))
    assert contrast(upright)[0] < 0.25 * contrast(stripes[low])[0]
    assert contrast(flat)[1] > 0.9 * contrast(lying[low])[1]


def test_no_blur_standing_or_by_day():
    front = camera("CAM_FRONT")
    image = checker(front.width, front.height)
    assert motion_blur.blur(image, front, front.ego_T_camera, STANDING, NIGHT_S) is image
    by_day = motion_blur.blur(image, front, front.ego_T_camera, FAST, 0.0005)
    assert np.abs(by_day.astype(int) - image)[:100].max() == 0
    assert contrast(motion_blur.blur(image, front, front.ego_T_camera, FAST, NIGHT_S)[150:])[1] < contrast(image)[1] / 2


def test_lens_blurs_by_its_own_shutter_time():
    """The whole lens at night: a vehicle at 15 m/s gets a softer road than one that stands."""
    front, lens = camera("CAM_FRONT"), Lens(look("night"), 3, 0)
    assert 0.015 <= lens.exposure.time_s <= 0.025
    image = checker(front.width, front.height)
    still, moving = (
        lens.apply(image, front, front.ego_T_camera, np.random.default_rng(0), m)[150:] for m in (STANDING, FAST)
    )
    assert contrast(moving)[1] < 0.8 * contrast(still)[1]


def test_motion_comes_from_the_drive_and_speeds_from_the_agents():
    ego = np.array([[0.0, 0, 0, 0], [1.0, 10, 0, 0], [2.0, 20, 0, 0.4]])
    passing = Agent("VEHICLE", 4.5, 1.9, 1.6, np.array([[0.0, 0, 2, 0], [2.0, 8, 2, 0]]))
    parked = Agent("VEHICLE", 4.0, 1.8, 1.5, np.array([[0.0, 3, 9, 1.0]]))
    road_map = RoadMap("m", (), (), (), (), ego, (passing, parked))
    boxes = [Box("VEHICLE", 4.5, 1.9, 1.6, 2.0, 2.0, 0.0), Box("VEHICLE", 4.0, 1.8, 1.5, 3.0, 9.0, 1.0)]
    moment = moment_at(road_map, 1.5, boxes)
    assert np.allclose(moment.velocity, (10, 0, 0), atol=1e-6)
    assert moment.yaw_rate == pytest.approx(0.4, rel=1e-6)
    assert moment.speeds[0] == pytest.approx(4.0) and np.isnan(moment.speeds[1])
    assert moment_at(road_map, 9.0, []).velocity == (0.0, 0.0, 0.0)


def glare_of(sun: tuple[float, float, float], beside=NOTHING_BESIDE) -> float:
    """Mean that glare adds to a black picture of the front camera."""
    low = replace(look("low_sun"), sun_direction=sun)
    front = camera("CAM_FRONT")
    image = np.zeros((front.height, front.width, 3), np.float32)
    Glare(low, beside, Lights(low, beside, 3), np.random.default_rng(0)).add(
        image, front, front.ego_T_camera, STANDING, 255.0
    )
    return float(image.mean())


def wall_ahead(height: float):
    walls = Walls(
        np.array([[20.0, -9.0]]), np.array([[20.0, 9.0]]), np.array([[0.0, height]]), np.zeros(1, int), np.zeros((1, 4))
    )
    return replace(NOTHING_BESIDE, walls=walls)


def test_sun_glares_only_in_view_and_not_through_buildings():
    ahead, behind = (0.985, 0.0, 0.17), (-0.985, 0.0, 0.17)
    assert glare_of(ahead) > 40
    assert glare_of(behind) == 0
    assert glare_of(ahead, wall_ahead(10.0)) == 0
    assert glare_of(ahead, wall_ahead(3.0)) > 40  # 1.5 m + 18 m * tan 9.8 deg = 4.6 m: over it


def test_oncoming_headlights_glare_white_and_tail_lights_red_at_night_only():
    front = camera("CAM_FRONT")

    def added(light: str, yaw: float) -> np.ndarray:
        image = np.zeros((front.height, front.width, 3), np.float32)
        box = Box("VEHICLE", 4.5, 1.9, 1.6, 22.0, 1.0, yaw)
        dark = look(light)
        glare = Glare(dark, NOTHING_BESIDE, Lights(dark, NOTHING_BESIDE, 3), np.random.default_rng(0))
        glare.add(image, front, front.ego_T_camera, Moment(0.0, boxes=(box,), speeds=(8.0,)), 255.0)
        return image.sum(axis=(0, 1))

    oncoming, leaving = added("night", np.pi), added("night", 0.0)
    assert oncoming[2] > 0.7 * oncoming[0] > 0
    assert 0 < leaving[2] < 0.75 * leaving[0] and leaving.sum() < oncoming.sum()
    assert added("overcast", np.pi).sum() == 0


def test_street_lamps_light_the_road_below_them():
    lamp = Billboards(np.array([[10.0, 3.0]]), np.array([[2.5, 8.0]]), np.array([21]))
    for seed in range(20):
        lights = Lights(look("night"), replace(NOTHING_BESIDE, billboards=lamp), seed)
        below, away = lights.on_ground(np.array([[10.0, 3.0], [40.0, 3.0]]), STANDING)
        if below.sum() > 0:
            break
    assert below.sum() > 20 * away.sum() > 0
    day = Lights(look("sun"), replace(NOTHING_BESIDE, billboards=lamp), seed)
    assert day.on_ground(np.array([[10.0, 3.0]]), STANDING).sum() == 0


def test_lorry_hides_what_stands_behind_it():
    lorry = Moment(0.0, boxes=(Box("VEHICLE", 8.0, 2.5, 3.3, 15.0, 0.0, 0.0),), speeds=(5.0,))
    places = np.array([[40.0, 0.0, 0.7], [40.0, 20.0, 0.7], [40.0, 0.0, 9.0]])
    assert open_to(np.array([0, 0, 1.5]), places, NOTHING_BESIDE, lorry).tolist() == [False, True, True]


def test_exposure_differs_between_cameras_and_drifts():
    grey = np.full((64, 64, 3), 100, np.float32)
    rig_of = [Exposure(look("sun"), np.random.default_rng(5), np.random.default_rng(i)) for i in range(6)]
    gains = np.array([[one.gain(grey, t) for t in (0.0, 5.0)] for one in rig_of])
    assert np.ptp(gains[:, 0]) > 0.03
    assert np.abs(np.diff(gains, axis=1)).max() > 0.01
    one = rig_of[0]
    assert not np.array_equal(one.colours(0.0), one.colours(5.0))
    assert abs(one.gain(grey, 0.0) - one.gain(grey, 0.05)) < 0.02  # it drifts, it does not flicker


def test_spray_hangs_behind_fast_vehicles_on_wet_roads():
    front = camera("CAM_FRONT")
    box = Box("VEHICLE", 4.5, 1.9, 1.6, 15.0, 0.0, 0.0)

    def mean(speed: float, wet: float) -> float:
        image = np.zeros((front.height, front.width, 3), np.float32)
        moment = Moment(0.0, boxes=(box,), speeds=(speed,))
        weather.spray(image, front.K, front.ego_T_camera, moment, wet, 150.0)
        return float(image.mean())

    assert mean(12.0, 0.8) > 0.3
    assert mean(2.0, 0.8) == mean(float("nan"), 0.8) == mean(12.0, 0.0) == 0


def test_water_lies_on_glass_in_rain_alone_and_elsewhere_on_every_camera():
    image = np.random.default_rng(0).uniform(0, 255, (128, 352, 3)).astype(np.float32)
    wet = [Glass(look("rain"), np.random.default_rng(i)) for i in range(8)]
    dry = [Glass(look("overcast"), np.random.default_rng(i)) for i in range(40)]
    changed = [np.abs(g.apply(image, 100.0) - image).mean() for g in wet]
    assert np.count_nonzero(changed) >= 6 and len(set(np.round(changed, 3))) >= 6
    assert 3 < sum(g.apply(image, 100.0) is not image for g in dry) < 28


def test_same_lens_same_picture():
    front = camera("CAM_FRONT")
    image = cv2.resize(checker(40, 30), (front.width, front.height))
    a, b = (
        Lens(look("rain"), 7, 2).apply(image, front, front.ego_T_camera, np.random.default_rng(1), FAST) for _ in "ab"
    )
    assert np.array_equal(a, b)


def test_a_third_of_the_worlds_is_dark_low_or_wet():
    lights = [draw_look(seed).light for seed in range(3000)]
    share = np.mean([light in ("night", "dusk", "low_sun", "rain") for light in lights])
    assert 0.31 < share < 0.39
