# SPDX-License-Identifier: Apache-2.0
"""`colcon build` installs the whole package: messages, both Python packages, executables, launch files, settings."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("CMakeLists.txt", "config", "launch", "mapkd_core", "mapkd_ros", "msg", "package.xml", "test")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """Built workspace with nothing but a copy of this package in src/mapkd."""
    if shutil.which("colcon") is None:
        pytest.skip("colcon is not installed; it is part of environment/requirements/develop.txt")
    workspace = tmp_path_factory.mktemp("workspace")
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        (workspace / "src/mapkd").mkdir(parents=True, exist_ok=True)
        copy(ROOT / part, workspace / "src/mapkd" / part)
    underlay = {"CMAKE_PREFIX_PATH": sys.prefix} if "ROS_DISTRO" not in os.environ else {}
    command = ["colcon", "build", "--merge-install", "--cmake-args", "-DCMAKE_C_FLAGS=-O0"]
    done = subprocess.run(command, cwd=workspace, env=os.environ | underlay, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return workspace


def test_executables_are_installed(workspace):
    scripts = configparser.ConfigParser()
    scripts.read(workspace / "src/mapkd/mapkd_ros/setup.cfg")
    names = [line.split("=")[0].strip() for line in scripts["options.entry_points"]["console_scripts"].split("\n")]
    assert len(names) > 1
    for name in filter(None, names):
        assert os.access(workspace / "install/lib/mapkd" / name, os.X_OK), name


@pytest.mark.parametrize("folder", ["launch", "config", "mapkd_core", "mapkd_ros"])
def test_all_files_are_installed(workspace, folder):
    """Weights and other data files beside the modules included."""
    modules = next((workspace / "install").glob("**/mapkd_core/__init__.py")).parents[1]
    assert (modules / "mapkd/msg/__init__.py").is_file()
    source, target = workspace / "src/mapkd", modules if "mapkd" in folder else workspace / "install/share/mapkd"
    files = [p.relative_to(source) for p in (source / folder).rglob("*") if p.is_file() and p.suffix != ".pyc"]
    assert [str(p) for p in files if not (target / p).is_file()] == []
