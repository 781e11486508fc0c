# SPDX-License-Identifier: Apache-2.0
"""Prints requirements/constraints.txt: the version of every package in this virtual environment.

    .venv/bin/python environment/pin_versions.py >environment/requirements/constraints.txt

The other requirements files name what we ask for; this one holds what they bring along. Packages whose version does not
exist for Python 3.10 are left free there.
"""

from __future__ import annotations

from importlib.metadata import Distribution, distributions

from packaging.specifiers import SpecifierSet

OWN = {"mapkd", "pip"}


def pin(distribution: Distribution) -> str:
    """One line of a constraints file; the build tag (torch's +cpu) is the index's business."""
    line = f"{distribution.name}=={distribution.version.split('+')[0]}"
    supported = SpecifierSet(distribution.metadata.get("Requires-Python") or "")
    return line if "3.10.12" in supported else f'{line}; python_version >= "3.11"'


def main() -> None:
    # The ROS wheels contain metadata of the packages inside them, which no index knows: those have no installer.
    installed = [d for d in distributions() if d.read_text("INSTALLER") and d.name not in OWN]
    print("# Written by environment/pin_versions.py.")
    print("\n".join(sorted({pin(distribution) for distribution in installed}, key=str.lower)))


if __name__ == "__main__":
    main()
