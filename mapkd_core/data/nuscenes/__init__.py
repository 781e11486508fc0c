# SPDX-License-Identifier: Apache-2.0
"""A nuScenes dataset on disk, real or written by `mapkd nuscenes write`: frames, poses, map vectors and splits.

`NuScenesSet` is what users need. Tables and maps are read by nuscenes-devkit, an optional extra (see `devkit`).
"""

from mapkd_core.data.nuscenes.dataset import NuScenesSet
from mapkd_core.data.nuscenes.rules import RULES

__all__ = ["RULES", "NuScenesSet"]
