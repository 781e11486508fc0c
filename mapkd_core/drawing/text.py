# SPDX-License-Identifier: Apache-2.0
"""Small text on pictures."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.drawing.colours import Colour


def write(
    image: NDArray[np.uint8], text: str, at: tuple[int, int], colour: Colour, size: float, on_box: bool = False
) -> int:
    """ASCII text with its lower left corner at pixel (column, row); size 0.45 is about 11 pixels high.

    on_box: on a dark ground, so that it is read on any image. Returns the width in pixels.
    """
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    if on_box:
        top, left = max(at[1] - height - 3, 0), max(at[0] - 4, 0)
        ground = image[top : at[1] + below + 1, left : at[0] + width + 4]
        ground[:] = ground // 4
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)
    return int(width)
