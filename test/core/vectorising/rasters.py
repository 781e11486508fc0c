# SPDX-License-Identifier: Apache-2.0
"""Random rasters as networks make them: strokes that cross, touch, end and are torn, and noise."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.vectorising.thinning import thin


def skeleton(seed: int, rows: int = 48, columns: int = 64) -> NDArray[np.uint8]:
    """0/1 uint8 [rows, columns], one cell wide where strokes lie alone."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((rows, columns), np.uint8)
    for _ in range(rng.integers(1, 9)):
        points = rng.uniform(-4, (columns + 4, rows + 4), (rng.integers(2, 5), 2)).round().astype(np.int32)
        cv2.polylines(mask, [points], bool(rng.random() < 0.2), 1, int(rng.integers(1, 6)))
    torn = rng.random(mask.shape) < rng.choice([0.0, 0.02, 0.1])
    specks = rng.random(mask.shape) < rng.choice([0.0, 0.01, 0.3])
    return thin(((mask > 0) & ~torn | specks).astype(np.uint8))
