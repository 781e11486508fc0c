# SPDX-License-Identifier: Apache-2.0
"""For tools that look for a setup.py; everything is in pyproject.toml.

`pip install -e .` gives mapkd_core and the command `mapkd`, without ROS. With ROS, colcon builds CMakeLists.txt.
"""

from setuptools import setup

setup()
