# SPDX-License-Identifier: Apache-2.0
"""A nuScenes scene becomes a bag of the same drive; an interruption loses what was being written and no more."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mapkd_core import cli
from mapkd_core.bags.convert import convert
from mapkd_core.bags.from_nuscenes import nuscenes_recording
from mapkd_core.bags.read import BagDrive
from mapkd_core.bags.recording import TRUTH, Capture
from mapkd_core.bags.storage import BagReader
from mapkd_core.geometry import apply

CAPTURES = 4 * (3 + 1)  # frames x (cameras + LiDAR); radar has no place in a bag
PART_S = 0.1


def contents(path):
    with BagReader(path) as reader:
        return [(m.topic, m.type_name, m.stamp_ns, bytes(m.data)) for m in reader.messages()]


def test_a_scene_comes_out_as_the_drive_it_is(nuscenes_root, tmp_path, drive_of, capsys):
    out = tmp_path / "scene.mcap"
    command = ["bag", "--nuscenes", str(nuscenes_root), "--scene", "scene-0061", str(out), "--json"]
    assert cli.main(command) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["captures"] == CAPTURES and summary["scene"] == "scene-0061 of v1.0-mini"
    assert summary["drive_s"] == 0.325 and summary["times_real_time"] > 0 and summary["bytes"] == out.stat().st_size
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["nuscenes", "scene.mcap"]
    with BagDrive(out) as drive:
        assert drive.dialect.writer == "mapkd" and not drive.rig.missing
        got = list(drive.frames())
        raw = {(m.topic, m.stamp_ns): bytes(m.data) for m in drive.reader.messages()}
        assert not drive.problems and drive.counts == {"frames": 4}
    for number, (a, b) in enumerate(zip(got, drive_of.frames(), strict=True)):
        assert a.stamp_ns == b.stamp_ns and np.allclose(a.odom_T_ego, b.odom_T_ego, atol=1e-9)
        assert np.allclose(a.points[:, :3], apply(drive_of.EGO_T_LIDAR, drive_of.points(number)[:, :3]), atol=1e-5)
        found = {camera.name: camera for camera in a.cameras}
        for camera in b.cameras:
            assert found[camera.name].stamp_ns == camera.stamp_ns
            assert np.array_equal(found[camera.name].K, camera.K)
            assert np.allclose(found[camera.name].ego_T_camera, camera.ego_T_camera, atol=1e-9)
            message = raw[f"/{camera.name.lower()}/image/compressed", camera.stamp_ns]
            assert drive_of.jpeg(camera.image) in message


def test_truth_is_stamped_with_the_anchors_picture(nuscenes_root, tmp_path, drive_of):
    recording = nuscenes_recording(nuscenes_root, "scene-0061")
    stamp_ns = drive_of.START_NS
    captures = (*recording.captures, Capture(stamp_ns, TRUTH, drive_of.truth))
    captures = tuple(sorted(captures, key=lambda capture: capture.stamp_ns))
    convert(replace(recording, captures=captures, labelled=("divider",)), tmp_path / "bag", progress=False)
    with BagDrive(tmp_path / "bag") as drive:
        truths = drive.truth()
    assert list(truths) == [stamp_ns] and truths[stamp_ns].labelled == ("divider",)
    assert np.array_equal(truths[stamp_ns].elements[0].vertices_m, drive_of.truth()[0].vertices_m)


def test_an_interrupted_conversion_goes_on_and_gives_the_same_bag(nuscenes_root, tmp_path):
    recording = nuscenes_recording(nuscenes_root, "scene-0061")
    assert convert(recording, tmp_path / "whole.mcap", part_s=PART_S, progress=False) == (CAPTURES, 0)

    loads = []

    def counted(capture, is_last):
        def load():
            if is_last:
                raise KeyboardInterrupt
            loads.append(capture)
            return capture.load()

        return capture._replace(load=load)

    broken = tuple(counted(capture, number == 11) for number, capture in enumerate(recording.captures))
    with pytest.raises(KeyboardInterrupt):
        convert(replace(recording, captures=broken), tmp_path / "bag.mcap", part_s=PART_S, progress=False)
    assert not (tmp_path / "bag.mcap").exists()
    aside = tmp_path / ".bag.mcap.parts"
    parts = sorted(aside.glob("part-*.mcap"))
    assert len(loads) == 11 and len(parts) == 2
    (aside / ".part-0002.mcap.partial-1").mkdir()  # as a killed process leaves it
    parts[1].write_bytes(parts[1].read_bytes()[:-200])  # and a disk that was full

    loads.clear()
    whole = tuple(counted(capture, False) for capture in recording.captures)
    done = convert(replace(recording, captures=whole), tmp_path / "bag.mcap", part_s=PART_S, progress=False)
    assert done == (CAPTURES, CAPTURES - len(loads)) and 0 < done.kept < 11
    assert not aside.exists()
    assert contents(tmp_path / "bag.mcap") == contents(tmp_path / "whole.mcap")


def test_parts_of_another_recording_are_not_mixed_in(nuscenes_root, tmp_path):
    recording = nuscenes_recording(nuscenes_root, "scene-0061")

    def fail():
        raise ValueError("no more")

    broken = (*recording.captures[:-1], recording.captures[-1]._replace(load=fail))
    with pytest.raises(ValueError, match="no more"):
        convert(replace(recording, captures=broken), tmp_path / "bag.mcap", part_s=PART_S, progress=False)
    with pytest.raises(ValueError, match=r"holds the parts of .*scene-0061.* remove it"):
        convert(replace(recording, name="scene-0103"), tmp_path / "bag.mcap", part_s=PART_S, progress=False)
    convert(recording, tmp_path / "bag.mcap", part_s=PART_S, progress=False)
    with pytest.raises(ValueError, match="exists already"):
        convert(recording, tmp_path / "bag.mcap")


@pytest.mark.parametrize(
    ("table", "change", "words"),
    [
        ("scene", lambda rows: rows.pop(0), r"no scene 'scene-0061'; it has scene-0103"),
        ("sample", lambda rows: rows.clear(), "neither pictures nor LiDAR"),
        ("ego_pose", lambda rows: rows.pop(0), r"ego_pose\.json has no record"),
        ("ego_pose", lambda rows: rows[1].update(rotation=[0, 0, 0, 0]), r"ego_pose\.json record .*not a rotation"),
        ("ego_pose", lambda rows: rows[1].update(translation=[float("nan"), 0, 0]), "NaN"),
        ("calibrated_sensor", lambda rows: rows[0].update(camera_intrinsic=[]), "expected 3x3"),
    ],
)
def test_bad_tables_are_named(table, change, words, nuscenes_root, edit_table):
    edit_table(table, change)
    with pytest.raises(ValueError, match=words):
        nuscenes_recording(nuscenes_root, "scene-0061")


def test_missing_tables_and_bad_files_are_named(nuscenes_root, tmp_path, drive_of):
    picture = nuscenes_root / "samples" / "CAM_FRONT" / str(drive_of.START_NS)
    sweep = nuscenes_root / "sweeps" / "LIDAR_TOP" / str(drive_of.START_NS + drive_of.PERIOD_NS)
    raw = picture.read_bytes()
    small = drive_of.jpeg(np.zeros((8, 8, 3), np.uint8))
    for path, content, words in [
        (picture, small, "8 x 8 pixels"),
        (picture, b"no picture", "copy it from the dataset again"),
        (sweep, bytes(30), "not rows of 20 bytes"),
        (sweep, None, "no such file"),
    ]:
        before = path.read_bytes()
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises((ValueError, FileNotFoundError), match=words) as error:
            convert(nuscenes_recording(nuscenes_root, "scene-0061"), tmp_path / "bag.mcap", progress=False)
        assert path.name in str(error.value) and not (tmp_path / "bag.mcap").exists()
        path.write_bytes(before)
    assert picture.read_bytes() == raw
    (nuscenes_root / "v1.0-mini" / "ego_pose.json").write_text("[{")
    with pytest.raises(ValueError, match=r"ego_pose\.json: no JSON"):
        nuscenes_recording(nuscenes_root, "scene-0061")
    (nuscenes_root / "v1.0-mini" / "ego_pose.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"ego_pose\.json is missing"):
        nuscenes_recording(nuscenes_root, "scene-0061")
