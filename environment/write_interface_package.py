# SPDX-License-Identifier: Apache-2.0
"""Writes a message package that the ROS wheels lack, from the definitions that rosbags carries.

    python write_interface_package.py tf2_msgs <folder>

Only messages are written, not services or actions: the product uses tf2_msgs/msg/TFMessage alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

PACKAGE_XML = """<?xml version="1.0"?>
<package format="3">
  <name>{package}</name>
  <version>0.0.0</version>
  <description>Messages of {package}, generated from the definitions in rosbags.</description>
  <maintainer email="mapkd@example.org">mapkd developers</maintainer>
  <license>BSD-3-Clause</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
{depends}
  <exec_depend>rosidl_default_runtime</exec_depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""

CMAKE_LISTS = """cmake_minimum_required(VERSION 3.16)
project({package})
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
{find_packages}
rosidl_generate_interfaces(${{PROJECT_NAME}} {files} DEPENDENCIES {dependencies})
ament_export_dependencies(rosidl_default_runtime)
ament_package()
"""


def write_package(package: str, folder: Path) -> None:
    """package.xml, CMakeLists.txt and msg/*.msg of `package` as of ROS 2 Kilted, the release of the wheels.

    Raises ValueError where rosbags knows no message of that package.
    """
    typestore = get_typestore(Stores.ROS2_KILTED)
    types = [name for name in typestore.fielddefs if name.startswith(f"{package}/msg/")]
    if not types:
        known = sorted({name.split("/")[0] for name in typestore.fielddefs})
        raise ValueError(f"rosbags has no messages of package {package!r}; it has {', '.join(known)}")
    texts = {name.split("/")[-1]: _own_text(typestore, name) for name in types}
    used = {word.split("/")[0] for text in texts.values() for word in text.split() if "/" in word} - {package}

    (folder / "msg").mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / "msg" / f"{name}.msg").write_text(text)
    depends = "\n".join(f"  <depend>{name}</depend>" for name in sorted(used))
    (folder / "package.xml").write_text(PACKAGE_XML.format(package=package, depends=depends))
    (folder / "CMakeLists.txt").write_text(
        CMAKE_LISTS.format(
            package=package,
            find_packages="\n".join(f"find_package({name} REQUIRED)" for name in sorted(used)),
            files=" ".join(f"msg/{name}.msg" for name in sorted(texts)),
            dependencies=" ".join(sorted(used)),
        )
    )


def _own_text(typestore: Typestore, name: str) -> str:
    """The definition of `name` without those of the types it uses, which follow after a line of `=`."""
    text, _ = typestore.generate_msgdef(name, ros_version=2)
    return text.split("=" * 80)[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    write_package(arguments.package, arguments.folder)
