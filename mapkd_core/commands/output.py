# SPDX-License-Identifier: Apache-2.0
"""Pictures that commands write, never lost in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    """image: H W 3 RGB. Raises OSError where nothing could be written: OpenCV itself only returns False."""
    import cv2

    if not cv2.imwrite(str(path), image[..., ::-1]):
        raise OSError(f"{path} cannot be written; is there space, and may this folder be written to?")
