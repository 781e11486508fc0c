# SPDX-License-Identifier: Apache-2.0
"""Black, overexposed and frozen pictures, told from the pictures of one camera alone."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLACK_LEVEL = 24  # of 255: 99 of 100 pixels are darker; on a lit road at night one in ten is brighter
WHITE_LEVEL, WHITE_SHARE = 250, 0.5  # so much of the picture is clipped; a low sun clips a third at most
SAME_PICTURES = 3  # sensors have noise: three pictures that are equal to the bit are one
STANDING_M = 0.05  # made pictures without noise stay the same while the vehicle stands
_SAMPLES = 64  # columns that brightness is looked at


@dataclass
class _Last:
    digest: int
    stamp_ns: int
    repeats: int
    moved_m: float


class PictureWatch:
    """One camera's pictures in the order of their stamps."""

    def __init__(self) -> None:
        self._last: _Last | None = None

    def look(self, image: NDArray[np.uint8], stamp_ns: int, moved_m: float | None = None) -> str:
        """black, overexposed, frozen, or "" for a sound picture.

        image: H W 3. moved_m: how far the vehicle went since the picture before; None where nobody knows. A picture of
        the same stamp again (a camera that was reused) counts for nothing.
        """
        is_frozen = self._is_frozen(image, stamp_ns, moved_m)
        # A sensor that died black is frozen, too; black says more.
        return brightness_fault(image) or ("frozen" if is_frozen else "")

    def _is_frozen(self, image: NDArray[np.uint8], stamp_ns: int, moved_m: float | None) -> bool:
        digest, last = zlib.crc32(np.ascontiguousarray(image).data), self._last
        if last is None or digest != last.digest:
            self._last = _Last(digest, stamp_ns, 1, 0.0)
            return False
        if stamp_ns != last.stamp_ns:
            last.stamp_ns, last.repeats = stamp_ns, last.repeats + 1
            last.moved_m += np.inf if moved_m is None else moved_m
        return last.repeats >= SAME_PICTURES and last.moved_m > STANDING_M


def brightness_fault(image: NDArray[np.uint8]) -> str:
    """black, overexposed or ""; image: H W 3."""
    step = max(1, image.shape[1] // _SAMPLES)
    green = image[::step, ::step, 1]
    if np.percentile(green, 99) < BLACK_LEVEL:
        return "black"
    return "overexposed" if (green >= WHITE_LEVEL).mean() > WHITE_SHARE else ""
