# SPDX-License-Identifier: Apache-2.0
"""Frames, truth and priors read back from a rendered set, and what is said about damaged ones."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import shapely
from numpy.testing import assert_allclose
from scipy.spatial import cKDTree

from mapkd_core.commands.view_source import open_source
from mapkd_core.data.nuscenes import NuScenesSet
from mapkd_core.data.nuscenes_worlds.scene import CAMERA_S
from mapkd_core.geometry import inverse
from mapkd_core.grid import RANGES, BevGrid
from mapkd_core.worlds import drive, procedural
from mapkd_core.worlds.rig import nuscenes_rig, scaled
from mapkd_core.worlds.truth import local_elements

SCENE = "procedural-200000"


@pytest.fixture(scope="module")
def world():
    return procedural.make_road_map(200000)


@pytest.fixture(scope="module")
def token(dataset):
    return list(dataset.sample_tokens(SCENE))[1]


@pytest.fixture(scope="module")
def time_s(world):
    return float(world.ego[0, 0]) + 0.05 + 0.5


def edit(root, table, change):
    path = root / "v1.0-mapkd" / f"{table}.json"
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))


def test_a_frame_is_what_was_rendered(dataset, token, world, time_s):
    frame = dataset.frame(token)
    map_T_ego = drive.pose_at(world, time_s)
    assert [camera.name for camera in frame.cameras] == [camera.name for camera in nuscenes_rig()]
    for camera, mounted in zip(frame.cameras, scaled(nuscenes_rig(), 160, 90), strict=True):
        assert camera.image.shape == (90, 160, 3) and camera.image.std() > 5
        assert_allclose(camera.K, mounted.K)
        assert camera.stamp_ns - frame.stamp_ns == pytest.approx(CAMERA_S[camera.name] * 1e9, abs=1000)
        then = drive.pose_at(world, time_s + CAMERA_S[camera.name])
        assert_allclose(camera.ego_T_camera, inverse(map_T_ego) @ then @ mounted.ego_T_camera, atol=1e-6)
    assert_allclose(frame.odom_T_ego[:3, :3], map_T_ego[:3, :3], atol=1e-9)


def test_sweeps_are_joined_with_the_vehicles_motion(dataset, token):
    one, two = dataset.frame(token, sweeps=1).points, dataset.frame(token, sweeps=2).points
    assert one.shape[1] == 6 and (one[:, 5] == 0).all()
    assert_allclose(np.unique(two[:, 5]), [-0.05, 0], atol=1e-5)
    assert dataset.frame(token, sweeps=0).points is None
    ground = one[(one[:, 4] < 8) & (np.hypot(one[:, 0], one[:, 1]) > 4)]
    assert abs(np.median(ground[:, 2])) < 0.1  # the lowest rings meet the road at z = 0 of the ego frame
    # What stands still lies where it lay: of the older turn, walls are found again within the noise and the raster.
    still = two[(two[:, 2] > 2.5) & (np.hypot(two[:, 0], two[:, 1]) < 30)]
    old, new = still[still[:, 5] < -0.01, :3], still[still[:, 5] > -0.01, :3]
    assert len(old) > 50 and np.median(cKDTree(new).query(old)[0]) < 0.5


@pytest.mark.parametrize("name", ["60x30", "120x60"])
def test_our_truth_is_that_of_the_world(dataset, token, world, name):
    offset = dataset.manifest.scenes[SCENE]["map_offset_m"]
    pose = dataset.planar_pose(token).copy()
    pose[:2, 3] -= offset
    expected = local_elements(world, pose, RANGES[name])
    found = dataset.truth(token, RANGES[name])
    assert [e.class_name for e in found] == [e.class_name for e in expected] and expected
    for element in expected:
        line = shapely.LineString(element.vertices_m)
        others = [e for e in found if e.class_name == element.class_name and e.is_closed == element.is_closed]
        assert min(shapely.hausdorff_distance(line, shapely.LineString(e.vertices_m)) for e in others) < 0.01


def test_the_sd_prior_is_the_worlds_coarse_roads(dataset, token, world):
    grid = RANGES["240x60"]
    found = dataset.sd_prior(token, grid)
    offset = np.array(dataset.manifest.scenes[SCENE]["map_offset_m"])
    pose = dataset.planar_pose(token)
    window = shapely.transform(shapely.box(*grid.bounds), lambda xy: xy @ pose[:2, :2].T + pose[:2, 3])
    lengths = [shapely.LineString(line + offset).intersection(window).length for line in world.sd_roads]
    assert sum(shapely.LineString(e.vertices_m).length for e in found) == pytest.approx(sum(lengths), abs=0.01)
    assert sum(lengths) > 50 and {e.class_name for e in found} == {"road"}


def test_a_missing_table_is_named(copy):
    (copy / "v1.0-mapkd" / "sample_data.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"v1.0-mapkd: sample_data.json missing; unpack the metadata"):
        NuScenesSet(copy)


def test_a_cut_off_table_is_named(copy):
    path = copy / "v1.0-mapkd" / "ego_pose.json"
    path.write_text(path.read_text()[:-100])
    with pytest.raises(ValueError, match=r"ego_pose.json: no JSON .* unpack the metadata again"):
        NuScenesSet(copy)


def test_an_absent_image_is_named(copy):
    dataset = NuScenesSet(copy)
    image = next((copy / "samples" / "CAM_BACK").iterdir())
    image.unlink()
    with pytest.raises(FileNotFoundError, match=f"{image.name}: no such file; unpack the blobs"):
        _read_all(dataset)


def test_a_damaged_image_is_named(copy):
    image = next((copy / "samples" / "CAM_BACK").iterdir())
    image.write_bytes(image.read_bytes()[:-500])
    with pytest.raises(ValueError, match=f"{image.name}: .*copy it from the dataset again"):
        _read_all(NuScenesSet(copy))


@pytest.mark.parametrize(("damage", "says"), [
    (lambda raw: raw[:-7], "bytes are not rows of 20 bytes"),
    (lambda raw: b"", "0 bytes are not rows"),
    (lambda raw: raw[:20] + np.float32(np.nan).tobytes() + raw[24:], "NaN or infinity in row 1"),
])  # fmt: skip
def test_a_damaged_lidar_file_is_named(copy, damage, says):
    sweep = next((copy / "samples" / "LIDAR_TOP").iterdir())
    sweep.write_bytes(damage(sweep.read_bytes()))
    with pytest.raises(ValueError, match=f"{sweep.name}: .*{says}"):
        _read_all(NuScenesSet(copy))


def test_a_nan_pose_is_named(copy):
    edit(copy, "ego_pose", lambda rows: [row.update(translation=[float("nan"), 0.0, 0.0]) for row in rows])
    with pytest.raises(ValueError, match=r"ego_pose.json record \w{32}: translation holds NaN"):
        _read_all(NuScenesSet(copy))


def test_a_rotation_of_zeros_is_named(copy):
    edit(copy, "calibrated_sensor", lambda rows: [row.update(rotation=[0, 0, 0, 0]) for row in rows])
    with pytest.raises(ValueError, match=r"calibrated_sensor.json record \w{32}: not a rotation"):
        _read_all(NuScenesSet(copy))


def test_a_scene_without_map_is_named(copy):
    edit(copy, "log", lambda rows: rows[0].update(location="las-vegas"))
    dataset = NuScenesSet(copy)
    with pytest.raises(ValueError, match=r"scene procedural-100000 has no map: its log says location 'las-vegas'"):
        dataset.truth(next(dataset.sample_tokens("procedural-100000")), BevGrid())


def test_a_log_that_no_map_lists_is_an_error(copy):
    edit(copy, "map", lambda rows: [row.update(log_tokens=[]) for row in rows])
    with pytest.raises(ValueError, match=r"the log has no map in map.json"):
        NuScenesSet(copy)


def test_a_missing_map_mask_is_named(copy):
    next((copy / "maps").glob("*.png")).unlink()
    with pytest.raises(FileNotFoundError, match=r"map mask .*png does not exist; unpack maps/"):
        NuScenesSet(copy)


def test_a_damaged_file_of_our_own_set_is_found_by_its_hash(written, nuscenes_devkit, tmp_path):
    root = tmp_path / "set"
    shutil.copytree(written, root)
    image = next((root / "samples" / "CAM_FRONT").iterdir())
    raw = bytearray(image.read_bytes())
    raw[-40] ^= 1
    image.write_bytes(raw)
    with pytest.raises(ValueError, match=f"{image.name}: damaged, its hash is not"):
        _read_all(NuScenesSet(root))
    (root / "v1.0-mapkd" / "sample.json").write_text("[]")
    with pytest.raises(ValueError, match=r"sample.json: damaged"):
        NuScenesSet(root)


def test_several_versions_need_a_choice(copy):
    shutil.copytree(copy / "v1.0-mapkd", copy / "v1.0-mini")
    with pytest.raises(ValueError, match="give --version"):
        NuScenesSet(copy)
    assert NuScenesSet(copy, "v1.0-mini").scene_names[0] == "procedural-100000"


def test_unknown_scenes_are_refused(dataset):
    with pytest.raises(ValueError, match="no scene 'scene-0061'; there are 3"):
        list(dataset.sample_tokens("scene-0061"))


def _read_all(dataset):
    for scene in dataset.scene_names:
        for token in dataset.sample_tokens(scene):
            dataset.frame(token)


def test_view_lays_the_roads_of_a_rendered_set_under_its_samples(written, dataset, token):
    (shown,) = open_source(written, SCENE).shown([1])
    grid = BevGrid(-60.0, 60.0, -30.0, 30.0, 0.3)
    lines = dataset.sd_prior(token, grid)
    assert [e.vertices_m.tolist() for e in shown.priors["sd"]] == [e.vertices_m.tolist() for e in lines] and lines
    assert shown.truth and shown.frame.points is not None
