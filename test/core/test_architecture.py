# SPDX-License-Identifier: Apache-2.0
"""The core knows no ROS: no module of it loads a ROS package, and the linter refuses the import before that."""

from __future__ import annotations

import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import mapkd_core

ROOT = Path(__file__).resolve().parents[2]
ROS = ("rclpy", "sensor_msgs", "geometry_msgs", "std_msgs", "nav_msgs", "tf2_msgs", "message_filters", "mapkd_ros")

# Refuses ROS as if it were not installed, imports every module of the core, and says which were ROS's nevertheless.
IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
import mapkd_core
class NoRos:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ros} + ("mapkd",):
            raise ModuleNotFoundError(f"{{name}}: the core is imported without ROS", name=name)
sys.meta_path.insert(0, NoRos())
for module in pkgutil.walk_packages(mapkd_core.__path__, "mapkd_core."):
    importlib.import_module(module.name)
"""


def test_every_module_of_the_core_imports_without_ros():
    assert len(list(pkgutil.walk_packages(mapkd_core.__path__, "mapkd_core."))) > 20
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_EVERYTHING.format(ros=ROS)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", ["import rclpy", "from mapkd.msg import VectorMap", "from mapkd_ros import frames"])
@pytest.mark.parametrize(("folder", "allowed"), [("mapkd_core", False), ("test/core", False), ("mapkd_ros", True)])
def test_linter_keeps_ros_out_of_the_core(line, folder, allowed):
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if ruff is None:
        pytest.skip("ruff is not installed; it is part of environment/requirements/develop.txt")
    done = subprocess.run(
        [ruff, "check", "--select", "TID251", "--stdin-filename", f"{folder}/probe.py", "-"],
        input=f"{line}\n", cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode == 0) == allowed, done.stdout
