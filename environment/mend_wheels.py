# SPDX-License-Identifier: Apache-2.0
"""Mends the CMake exports of the ROS wheels installed beside this interpreter; repeating it changes nothing.

The wheels carry the include folders of the machine that built them (/opt/python/cp3XX-cp3XX/...), so that no message
package compiles against them. Both folders are put right: Python's and numpy's.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy as np

BUILDER_NUMPY = re.compile(r"/opt/python/[^;\"]*/site-packages/numpy/_core/include")
BUILDER_PYTHON = re.compile(r"/opt/python/cp\d+-cp\d+/include/python3\.\d+")


def mend(text: str) -> str:
    """CMake text with the builder's include folders replaced by those of this machine."""
    text = BUILDER_NUMPY.sub(np.get_include(), text)
    return BUILDER_PYTHON.sub(sysconfig.get_paths()["include"], text)


def main() -> None:
    for exported in Path(sys.prefix).glob("share/*/cmake/*.cmake"):
        before = exported.read_text()
        after = mend(before)
        if after != before:
            exported.write_text(after)


if __name__ == "__main__":
    main()
