# SPDX-License-Identifier: Apache-2.0
"""A frame folder as a bag: one real instant that can be replayed through the nodes."""

from __future__ import annotations

from pathlib import Path

from mapkd_core.bags.write import BagWriter
from mapkd_core.data.frame_folder import FrameFolder, read_frame_folder
from mapkd_core.grid import BevGrid


def write_frame_folder_bag(folder: FrameFolder | Path | str, path: Path | str, grid: BevGrid | None = None) -> None:
    """Write the folder's images byte for byte, its calibration, LiDAR, poses and labels into a new bag at `path`."""
    content = folder if isinstance(folder, FrameFolder) else read_frame_folder(folder)
    with BagWriter(
        path, rig=content.rig, ego_T_lidar=content.ego_T_lidar, grid=grid, labelled=content.labelled
    ) as writer:
        writer.add(content.frame, content.elements if content.labelled else None, encoded=content.encoded)
