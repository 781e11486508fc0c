# SPDX-License-Identifier: Apache-2.0
"""The contact sheet and the map from above: things are where a reader looks for them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mapkd_core.drawing import VideoWriter, bev_panel, colour_of, colours, contact_sheet
from mapkd_core.drawing.sheet import camera_rows
from mapkd_core.geometry import from_euler, transform
from mapkd_core.grid import BevGrid
from mapkd_core.types import Camera, Frame, LocalMap, MapElement

GRID = BevGrid()
OPTICAL = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
YAWS = {
    "CAM_BACK": 180, "CAM_FRONT": 0, "CAM_BACK_LEFT": 108, "CAM_FRONT_RIGHT": -55, "CAM_FRONT_LEFT": 55,
    "CAM_BACK_RIGHT": -108,
}  # fmt: skip


def camera(name: str, yaw_deg: float, image: bool = True) -> Camera:
    pose = transform(from_euler(0, 0, np.deg2rad(yaw_deg)) @ OPTICAL, [0, 0, 1.6])
    pixels = np.full((90, 160, 3), 90, np.uint8) if image else None
    return Camera(name, pixels, np.array([[120.0, 0, 80], [0, 120, 45], [0, 0, 1]]), pose, 160, 90)


def line(*vertices: tuple[float, float], name: str = "divider") -> MapElement:
    return MapElement(name, np.array(vertices, float))


def where(image: np.ndarray, name: str) -> np.ndarray:
    """Rows and columns of the pixels with the pure colour of a class."""
    return np.argwhere((image == colour_of(name)).all(-1))


def test_cameras_stand_as_the_driver_sees_them() -> None:
    front, back = camera_rows([camera(name, yaw) for name, yaw in YAWS.items()])
    assert [c.name for c in front] == ["CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT"]
    assert [c.name for c in back] == ["CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT"]


def test_forward_is_up_and_left_is_left() -> None:
    panel = bev_panel(GRID, [line((20, 10), (25, 10))])
    rows, columns = where(panel, "divider").mean(0)
    assert rows < panel.shape[0] * 0.25 and columns < panel.shape[1] * 0.4


def test_probability_glows_where_the_line_is() -> None:
    probability = np.zeros((3, *GRID.shape), np.uint8)
    probability[2, :50, :50] = 255  # y and x small: behind, on the right
    panel = bev_panel(GRID, probability=probability, classes=("divider", "ped_crossing", "boundary")).astype(int)
    greenish = np.argwhere(panel[..., 1] > panel[..., 0] + 60)
    assert greenish[:, 0].min() > panel.shape[0] * 0.7 and greenish[:, 1].min() > panel.shape[1] * 0.6


@pytest.mark.parametrize("names", [list(YAWS), ["CAM_FRONT"], []])
def test_sheet_holds_any_rig_and_says_which_camera_gave_nothing(names: list[str]) -> None:
    cameras = tuple(camera(name, YAWS[name], image=name != "CAM_BACK") for name in names)
    predicted = LocalMap(GRID, (line((5, 0), (25, 0)),), valid_cameras=("CAM_FRONT",), times_ms={"network": 12.0})
    sheet = contact_sheet(Frame(cameras), predicted, truth=(line((5, 1), (25, 1)),))
    assert sheet.shape == (576, 1920, 3) and sheet.dtype == np.uint8
    maps = where(sheet[:, 1330:], "divider")
    assert len(maps)
    if "CAM_FRONT" in names:
        assert (sheet[:250, :1320].astype(int).max(-1) - sheet[:250, :1320].min(-1) > 100).any()


def test_the_legend_names_the_ground_that_no_camera_sees() -> None:
    def swatch(observed: np.ndarray | None) -> int:
        sheet = contact_sheet(Frame((camera("CAM_FRONT", 0.0),)), LocalMap(GRID, (), observed=observed))
        return int((sheet[:, :600] == colours.UNOBSERVED).all(-1).sum())

    blind = np.ones(GRID.shape, bool)
    blind[190:210, 90:110] = False
    assert swatch(blind) > 50 and swatch(np.ones(GRID.shape, bool)) == swatch(None) == 0


def test_video_is_there_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "drive.webm"
    with VideoWriter(path, rate_hz=12) as video:
        for value in (40, 120, 200):
            video.add(np.full((64, 96, 3), (value, 60, 20), np.uint8))
            assert not path.exists()
    reader = cv2.VideoCapture(str(path))
    frames = [frame for ok, frame in iter(reader.read, (False, None)) if ok]
    assert len(frames) == 3 and np.abs(frames[2][32, 48].astype(int) - (20, 60, 200)).max() < 12
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_video_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="96 x 64"), VideoWriter(tmp_path / "drive.mp4") as video:
        video.add(np.zeros((64, 96, 3), np.uint8))
        video.add(np.zeros((32, 32, 3), np.uint8))
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"\.webm"):
        VideoWriter(tmp_path / "drive.mov")
