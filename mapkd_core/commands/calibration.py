# SPDX-License-Identifier: Apache-2.0
"""Print a calibration file: what a bag knows of its cameras, with blanks to fill in, or the rig of a nuScenes scene.

Bags of some converters carry no camera_info or no mountings; a file of this form beside them fills the gap
(`--calibration FILE`, docs/formats.md). For a bag that was made from nuScenes, --nuscenes and --scene give the whole
file, with the bag's own picture sizes where one is named. Without BAG the template is that of nuScenes' six cameras.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mapkd_core.commands.result import Result

if TYPE_CHECKING:
    from mapkd_core.data.calibration import Calibration

EXAMPLE = (
    "mapkd calibration 61.bag > calibration.yaml\n"
    "  mapkd calibration --nuscenes /data/nuscenes --scene scene-0061 > calibration.yaml"
)
log = logging.getLogger(__name__)
_BLANK_K = "[[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]"
_BLANK_POSE = "{translation: [x, y, z], rotation_xyzw: [x, y, z, w]}"
_HEAD = """# Calibration for mapkd (--calibration FILE; docs/formats.md). Pixels and metres.
# ego_T_camera maps points of the camera (x right, y down, z forward) to the ego frame (x forward, y left, z up, origin
# on the ground below the rear axle)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, nargs="?", metavar="BAG", help="bag of any dialect that mapkd reads")
    parser.add_argument("--nuscenes", type=Path, metavar="ROOT", help="take the rig from this nuScenes-format dataset")
    parser.add_argument("--scene", metavar="NAME", help="with --nuscenes: whose rig, such as scene-0061")
    parser.add_argument("--version", metavar="V", help="with --nuscenes: folder of the tables, where there are several")


def run(options: argparse.Namespace) -> Result:
    if options.scene and options.nuscenes is None:
        raise ValueError("--scene needs --nuscenes ROOT, the dataset that has it")
    if options.nuscenes is not None:
        if not options.scene:
            raise ValueError("--nuscenes needs --scene NAME, such as scene-0061")
        known = _of_scene(options)
        missing: dict[str, str] = {}
    else:
        known, missing = _of_bag(options.bag) if options.bag else (_nominal(), {})
    lines = [_HEAD, *(f"# {name}: {why}" for name, why in sorted(missing.items())), "cameras:"]
    blanks = 0
    for name, camera in sorted(known.cameras.items()):
        entries = {
            "width": camera.width or "pixels", "height": camera.height or "pixels",
            "K": camera.K.tolist() if camera.K.any() else _BLANK_K, "ego_T_camera": _pose(camera.ego_T_camera),
        }  # fmt: skip
        blanks += sum(value in ("pixels", _BLANK_K, _BLANK_POSE) for value in entries.values())
        lines += [f"  {name}:", *(f"    {key}: {value}" for key, value in entries.items())]
    lines.append(f"ego_T_lidar: {_pose(known.ego_T_lidar)}" if known.ego_T_lidar is not None else "# ego_T_lidar: 4x4")
    return Result({"cameras": sorted(known.cameras), "blanks": blanks, "missing": missing}, "\n".join(lines))


def _pose(matrix: Any) -> str:
    from mapkd_core.geometry import rotation_to_quaternion

    if matrix is None:
        return _BLANK_POSE
    rotation = rotation_to_quaternion(matrix[:3, :3]).tolist()
    return f"{{translation: {matrix[:3, 3].tolist()}, rotation_xyzw: {rotation}}}"


def _of_bag(path: Path) -> tuple[Calibration, dict[str, str]]:
    """What the bag knows (zero size and K where it does not), and camera -> what is missing."""
    from mapkd_core.bags.read import BagDrive
    from mapkd_core.data.calibration import Calibration, CameraCalibration

    cameras = {}
    with BagDrive(path) as drive:
        for problem in drive.problems:
            log.warning("%s", problem)
        for name, topics in drive.dialect.cameras.items():
            found = drive.rig.intrinsics(name)
            size = (found.width, found.height) if found else drive.survey.sizes.get(topics.image.name, (0, 0))
            K = found.K if found else np.zeros((3, 3))
            cameras[name] = CameraCalibration(*size, K, drive.rig.ego_T_camera(name))
        return Calibration(cameras, drive.rig.ego_T_lidar()), drive.rig.missing


def _of_scene(options: argparse.Namespace) -> Calibration:
    from mapkd_core.bags.from_nuscenes import nuscenes_recording
    from mapkd_core.data.calibration import Calibration, CameraCalibration

    recording = nuscenes_recording(options.nuscenes, options.scene, options.version, truth=False)
    cameras = {c.name: CameraCalibration(c.width, c.height, c.K, c.ego_T_camera) for c in recording.rig}
    if options.bag:
        _check_sizes(options.bag, cameras)
    return Calibration(cameras, recording.ego_T_lidar)


def _check_sizes(bag: Path, cameras: dict[str, Any]) -> None:
    """ValueError where the bag's pictures have another size: its converter scaled them, and K with them."""
    known, _ = _of_bag(bag)
    for name, camera in known.cameras.items():
        mounted = cameras.get(name)
        if mounted and camera.width and (camera.width, camera.height) != (mounted.width, mounted.height):
            raise ValueError(
                f"{bag}: {name} is {camera.width} x {camera.height} pixels, the scene's {mounted.width} x "
                f"{mounted.height}; scale K by hand, or convert the scene with `mapkd bag --nuscenes`"
            )


def _nominal() -> Calibration:
    from mapkd_core.data.calibration import Calibration, CameraCalibration
    from mapkd_core.worlds.rig import nuscenes_rig

    return Calibration({c.name: CameraCalibration(0, 0, np.zeros((3, 3))) for c in nuscenes_rig()})
