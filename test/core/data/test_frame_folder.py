# SPDX-License-Identifier: Apache-2.0
"""Frame folders: what is written comes back, and each kind of damage is named."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mapkd_core.data.calibration import read_calibration
from mapkd_core.data.frame_folder import FrameFolder, read_frame_folder, write_frame_folder
from mapkd_core.geometry import apply, from_euler, planar, project, transform
from mapkd_core.types import Camera, Frame, MapElement

SCENE = Path(__file__).parents[4] / "shared" / "data" / "scene0061"
K = np.array([[50.0, 0.0, 31.5], [0.0, 50.0, 17.5], [0.0, 0.0, 1.0]])
FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


def made_up_folder():
    """Two cameras of 64 x 36 that fired 10 and 20 ms before the frame while the vehicle moved."""
    rng = np.random.default_rng(1)
    stamp_ns = 1_500_000_000_123_456_000
    rig = tuple(
        Camera(name, None, K, transform(from_euler(0, 0, yaw) @ FORWARD, (1.5, 0.2, 1.6)), 64, 36, stamp_ns - age_ns)
        for name, yaw, age_ns in (("CAM_FRONT", 0.0, 10_000_000), ("CAM_BACK", np.pi, 20_000_000))
    )
    moved = tuple(
        replace(
            camera,
            image=np.full((36, 64, 3), 40 * index + 20, np.uint8),
            ego_T_camera=planar(-0.1 * index - 0.1, 0, 0) @ camera.ego_T_camera,
        )
        for index, camera in enumerate(rig)
    )
    points = rng.normal(size=(100, 5)).astype(np.float32)
    elements = (
        MapElement("divider", np.array([[0.0, 1.0], [5.0, 1.5], [9.0, 2.0]])),
        MapElement("ped_crossing", np.array([[4.0, -3.0], [6.0, -3.0], [6.0, 3.0], [4.0, 3.0]]), True),
        MapElement("boundary", np.array([[-9.0, 7.0], [9.0, 7.0]])),
    )
    frame = Frame(moved, stamp_ns, points, planar(3.0, -4.0, 0.7))
    return FrameFolder(
        frame, rig, {}, elements, ("divider", "boundary"), transform(from_euler(0, 0, -1.5), (1, 0, 1.8)), "x"
    )


@pytest.fixture
def folder(tmp_path):
    return write_frame_folder(made_up_folder(), tmp_path / "frame")


def test_round_trip(folder):
    want, got = made_up_folder(), read_frame_folder(folder)
    assert (got.frame.stamp_ns, got.labelled, got.name) == (want.frame.stamp_ns, want.labelled, want.name)
    assert np.allclose(got.frame.odom_T_ego, want.frame.odom_T_ego)
    assert np.allclose(got.frame.points, want.frame.points, atol=1e-5)
    assert np.allclose(got.ego_T_lidar, want.ego_T_lidar)
    for got_cameras, want_cameras in ((got.frame.cameras, want.frame.cameras), (got.rig, want.rig)):
        for a, b in zip(got_cameras, want_cameras, strict=True):
            assert (a.name, a.width, a.height, a.stamp_ns) == (b.name, b.width, b.height, b.stamp_ns)
            assert np.allclose(a.K, b.K) and np.allclose(a.ego_T_camera, b.ego_T_camera)
            assert (a.image is None) == (b.image is None)
            assert b.image is None or np.abs(a.image.astype(int) - b.image).max() <= 2
    assert [(e.class_name, e.is_closed, e.vertices_m.tolist()) for e in got.elements] == [
        (e.class_name, e.is_closed, e.vertices_m.tolist()) for e in want.elements
    ]


def test_encoded_images_are_copied_byte_for_byte(folder, tmp_path):
    first = read_frame_folder(folder)
    second = read_frame_folder(write_frame_folder(first, tmp_path / "again"))
    assert first.encoded == second.encoded


def test_lidar_lands_in_the_ego_frame(tmp_path):
    made = made_up_folder()
    folder = write_frame_folder(made, tmp_path / "frame")
    raw = np.fromfile(folder / "LIDAR_TOP.pcd.bin", np.float32).reshape(-1, 5)
    assert np.allclose(apply(made.ego_T_lidar, raw[:, :3]), read_frame_folder(folder).frame.points[:, :3], atol=1e-5)


def test_a_frame_json_is_a_calibration_file(folder):
    calibration = read_calibration(folder / "frame.json")
    assert list(calibration.cameras) == ["CAM_FRONT", "CAM_BACK"]
    assert np.allclose(calibration.cameras["CAM_BACK"].ego_T_camera, made_up_folder().rig[1].ego_T_camera)
    assert np.allclose(calibration.ego_T_lidar, made_up_folder().ego_T_lidar)


def edited(folder, *path, value):
    """Set (or, with Ellipsis, delete) one entry of frame.json."""
    file = folder / "frame.json"
    content = entry = json.loads(file.read_text())
    for key in path[:-1]:
        entry = entry[key]
    if value is ...:
        del entry[path[-1]]
    else:
        entry[path[-1]] = value
    file.write_text(json.dumps(content))


FRONT = ("cameras", "CAM_FRONT")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("cameras",), ..., "has no 'cameras'"),
        (("cameras",), {}, "at least one camera"),
        (("cameras",), [1], "at least one camera"),
        ((*FRONT, "K"), ..., "CAM_FRONT has no 'K'"),
        ((*FRONT, "K"), [[1, 2], [3, 4]], r"K has shape \(2, 2\), expected 3x3"),
        ((*FRONT, "K"), [[0, 0, 0]] * 3, "no pinhole camera"),
        ((*FRONT, "K"), "nonsense", "not a rectangular array of numbers"),
        ((*FRONT, "width"), 65, "image is 64 x 36, frame.json says 65 x 36"),
        ((*FRONT, "width"), -1, "size -1 x 36"),
        ((*FRONT, "width"), "64", "size '64' x 36"),
        ((*FRONT, "file"), "../secret.jpg", "outside the frame folder"),
        ((*FRONT, "ego_at_lidar_to_cam"), [[0] * 4] * 4, "not a rigid transform"),
        (("lidar2ego",), [1, 2, 3], r"lidar2ego has shape \(3,\)"),
        (("classes_labelled",), ["kerb"], "classes_labelled = .*kerb"),
        (("gt_60x30",), {"divider": [[[0, 0]]]}, r"gt_60x30.divider\[0\] has shape \(1, 2\)"),
        (("gt_60x30",), {"divider": [[[0, float("nan")], [1, 1]]]}, "NaN"),
        (("gt_60x30",), [], "expected an object class"),
        (("timestamp_us",), "noon", "timestamp_us"),
    ],
)
def test_wrong_entries_are_named(folder, path, value, words):
    edited(folder, *path, value=value)
    with pytest.raises(ValueError, match=words) as error:
        read_frame_folder(folder)
    assert str(folder) in str(error.value)


def test_missing_files_are_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        read_frame_folder(tmp_path / "nowhere")
    (folder / "CAM_BACK.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"CAM_BACK\.jpg"):
        read_frame_folder(folder)
    (folder / "frame.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"frame\.json"):
        read_frame_folder(folder)


def test_damaged_files_are_named(folder):
    image, lidar, text = folder / "CAM_FRONT.jpg", folder / "LIDAR_TOP.pcd.bin", folder / "frame.json"
    whole = image.read_bytes()
    image.write_bytes(whole[:-200])
    with pytest.raises(ValueError, match=r"CAM_FRONT\.jpg.*cut off"):
        read_frame_folder(folder)
    image.write_bytes(whole)
    lidar.write_bytes(lidar.read_bytes()[:-3])
    with pytest.raises(ValueError, match="1997 bytes are not a whole number of rows of 20 bytes"):
        read_frame_folder(folder)
    text.write_text(text.read_text()[:-30])
    with pytest.raises(ValueError, match=r"frame\.json is not valid JSON"):
        read_frame_folder(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"timestamp_us": [1, 2]}, r"timestamp_us = \[1, 2\], expected one number"),
        ({"timestamp_us": 1e300}, r"timestamp_us = 1e\+300, expected one number"),
        ({"gt_60x30": {"divider": None}}, r"gt_60x30\.divider: expected a list"),
        ({"gt_60x30": {"kerb": []}}, r"gt_60x30\.kerb: .* one of divider"),
    ],
)
def test_what_is_wrong_in_frame_json_is_named(folder, changes, words):
    path = folder / "frame.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ValueError, match=rf"frame\.json: {words}"):
        read_frame_folder(folder)


def test_truth_without_a_list_of_classes_is_used(folder):
    path = folder / "frame.json"
    content = json.loads(path.read_text())
    del content["classes_labelled"], content["gt_60x30"]["boundary"]
    path.write_text(json.dumps(content))
    assert read_frame_folder(folder).labelled == ("divider", "ped_crossing")


def test_nothing_is_overwritten(folder):
    with pytest.raises(ValueError, match="exists already"):
        write_frame_folder(made_up_folder(), folder)


def test_a_camera_without_image_cannot_be_written(tmp_path):
    made = made_up_folder()
    blind = replace(made, frame=replace(made.frame, cameras=made.rig))
    with pytest.raises(ValueError, match="CAM_FRONT has no image"):
        write_frame_folder(blind, tmp_path / "frame")


@pytest.mark.skipif(not SCENE.is_dir(), reason=f"real frame not at {SCENE}")
def test_the_real_frame_reads_and_its_lidar_ground_lies_below_the_cameras():
    folder = read_frame_folder(SCENE)
    assert folder.frame.stamp_ns == 1532402927647951000
    assert len(folder.frame.cameras) == 6 and folder.labelled == ("divider", "boundary")
    assert folder.frame.points.shape == (34688, 5)
    ahead = folder.frame.points[(folder.frame.points[:, 0] > 5) & (np.abs(folder.frame.points[:, 1]) < 2)]
    ahead = ahead[ahead[:, 0] < 15]
    assert abs(np.median(ahead[:, 2])) < 0.3  # the road is at the height of the ego frame's origin
    front = next(camera for camera in folder.frame.cameras if camera.name == "CAM_FRONT")
    pixels, depth = project(ahead[:, :3], front.K, front.ego_T_camera)
    assert (depth > 0).all() and np.median(pixels[:, 1]) > 0.6 * front.height
