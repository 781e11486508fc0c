# SPDX-License-Identifier: Apache-2.0
"""`mapkd view` over every source: what is drawn, and what it says where there is nothing to draw."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mapkd_core import cli
from mapkd_core.bags.from_folder import write_frame_folder_bag
from mapkd_core.bags.write import BagWriter
from mapkd_core.commands.view_source import open_source
from mapkd_core.data.frame_folder import FrameFolder, write_frame_folder
from mapkd_core.data.samples import write
from mapkd_core.drawing.colours import GROUND_POINT, PRIOR_COLOURS, RAISED_POINT
from mapkd_core.geometry import planar
from mapkd_core.grid import BevGrid
from mapkd_core.types import Frame, MapElement
from mapkd_core.worlds.rig import nuscenes_rig, scaled


@pytest.fixture
def frame_folder(tmp_path):
    """Grey pictures, a divider at y = 1, a wall of points at x = 10, and a road of a navigation map at y = -4."""
    rig = scaled(nuscenes_rig(), 160, 90)
    cameras = tuple(replace(c, image=np.full((90, 160, 3), 90, np.uint8), stamp_ns=10**18) for c in rig)
    wall = np.column_stack([np.full(40, 10.0), np.linspace(-8, 8, 40), np.linspace(0, 2, 40), np.zeros((40, 2))])
    divider = MapElement("divider", np.array([[-20.0, 1.0], [20.0, 1.0]]))
    frame = Frame(cameras, 10**18, wall.astype(np.float32), np.eye(4))
    path = write_frame_folder(FrameFolder(frame, rig, {}, (divider,), ("divider",), name="yard"), tmp_path / "yard")
    content = json.loads((path / "frame.json").read_text())
    content["sd_osm_60x30"] = [{"type": "tertiary", "pts": [[-30.0, -4.0], [30.0, -4.0]]}]
    (path / "frame.json").write_text(json.dumps(content))
    return path


def view(arguments, capsys):
    assert cli.main(["view", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)["pictures"]


def count(path, colour):
    return int((cv2.imread(str(path))[..., ::-1] == colour).all(-1).sum())


def test_a_frame_folder_shows_truth_on_the_images_lidar_and_navigation_map(frame_folder, tmp_path, capsys):
    (picture,) = view([frame_folder, tmp_path / "out"], capsys)
    assert picture["picture"].endswith("000-yard-0.png") and picture["miou"] is None
    path = picture["picture"]
    assert count(path, RAISED_POINT) >= 25 and count(path, GROUND_POINT) >= 5
    assert count(path, PRIOR_COLOURS["sd"]) > 100
    sheet = cv2.imread(path)[..., ::-1].astype(int)
    orange = (sheet[..., 0] > sheet[..., 2] + 80)[:450, :1500]
    assert orange.sum() > 200  # the divider in the pictures, far left of the map


def test_a_bag_shows_the_same(frame_folder, tmp_path, capsys):
    write_frame_folder_bag(frame_folder, tmp_path / "yard.mcap")
    (picture,) = view([tmp_path / "yard.mcap", tmp_path / "out"], capsys)
    assert count(picture["picture"], RAISED_POINT) >= 25 and count(picture["picture"], PRIOR_COLOURS["sd"]) == 0


def test_samples_are_shown_with_the_older_map_of_a_file(make_sample, tmp_path, capsys):
    write(tmp_path / "data", "world", [make_sample(shift) for shift in (0.0, 0.2, 0.4)])
    pictures = view([tmp_path / "data", tmp_path / "out", "--frames", 2], capsys)
    assert [(p["world"], p["frame"]) for p in pictures] == [("world", 0), ("world", 2)]
    line = [{"class": "boundary", "points": [[-9.0, -2.5], [9.0, -2.5]]}]
    (tmp_path / "hd.json").write_text(json.dumps({"frames": {"world-0": line, "world-2": []}}))
    arguments = [tmp_path / "data", tmp_path / "with", "--frames", 2, "--hd", tmp_path / "hd.json"]
    first, second = (count(p["picture"], PRIOR_COLOURS["hd"]) for p in view(arguments, capsys))
    assert first > second + 50  # the second has it in the legend only
    assert cli.main(["view", *map(str, [tmp_path / "data", tmp_path / "x", "--hd", tmp_path / "hd.json"])]) == 1
    assert "has no frame 'world-1'" in capsys.readouterr().err


def test_samples_bring_their_lidar_and_priors_along(make_sample, tmp_path, capsys):
    road, kerb = (MapElement(name, np.array([[-9.0, y], [9.0, y]])) for name, y in (("road", 1.5), ("boundary", -2.5)))
    points = np.array([[4.0, y, 1.0, 9.0, 0.0] for y in np.linspace(-2, 2, 30)], np.float32)
    write(tmp_path / "data", "world", [replace(make_sample(0.0), points=points, sd=(road,), hd=(kerb,))])
    (picture,) = view([tmp_path / "data", tmp_path / "out"], capsys)
    assert count(picture["picture"], RAISED_POINT) >= 20
    assert all(count(picture["picture"], PRIOR_COLOURS[name]) > 60 for name in ("sd", "hd"))


def test_a_bag_brings_its_priors_along(tmp_path, capsys):
    """A road 4 m to the right of a vehicle that faces north, told in the odometry's frame."""
    cameras = tuple(replace(c, image=np.full((54, 96, 3), 90, np.uint8)) for c in scaled(nuscenes_rig(), 96, 54))
    road = MapElement("road", np.array([[104.0, -50.0], [104.0, 50.0]]))
    with BagWriter(tmp_path / "north.mcap", rig=cameras) as writer:
        writer.add_prior("sd", 10**18, (road,), BevGrid(-200.0, 200.0, -200.0, 200.0, 1.0))
        for i in range(2):
            moved = tuple(replace(c, stamp_ns=10**18 + i * 10**8) for c in cameras)
            writer.add(Frame(moved, 10**18 + i * 10**8, None, planar(100.0, 2.0 * i, np.pi / 2)))
    (shown,) = open_source(tmp_path / "north.mcap").shown([1])
    (line,) = shown.priors["sd"]
    assert np.allclose(sorted(line.vertices_m[[0, -1]].tolist()), [[-52.0, -4.0], [48.0, -4.0]], atol=1e-4)
    (picture,) = view([tmp_path / "north.mcap", tmp_path / "out", "--frames", 1], capsys)
    assert count(picture["picture"], PRIOR_COLOURS["sd"]) > 60


def test_nothing_to_look_at_is_said(tmp_path, frame_folder, capsys):
    content = json.loads((frame_folder / "frame.json").read_text())
    content["sd_osm_60x30"] = [{"type": "tertiary"}]
    (frame_folder / "frame.json").write_text(json.dumps(content))
    for source, words in ((tmp_path / "nowhere", "mapkd dataset"), (frame_folder, "sd_osm_60x30[0] has no 'pts'")):
        assert cli.main(["view", str(source), str(tmp_path / "out")]) == 1
        assert words in capsys.readouterr().err
