# SPDX-License-Identifier: Apache-2.0
"""The uneven ground beside the road: banks and undergrowth, which pictures draw flat.

Next to the kerb the ground is level for a strip; from there on banks rise and fall slowly, and low plants stand on
them. A real sweep has a tenth of its points there.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mapkd_core.grid import BevGrid
from mapkd_core.worlds import noise

CELL_M = 0.5
STRIP_M = 1.5  # level ground beside the kerb
_BANK_SLOPE, _BANK_LENGTH_M, _BANK_WIDTH_M = 0.08, 35.0, 20.0
_PLANT_M, _PLANT_LENGTH_M = 0.3, 1.5


def heights(road: NDArray[np.uint8], grid: BevGrid, seed: int) -> tuple[NDArray[np.float32], BevGrid]:
    """Metres above the kerb's top over a coarser grid; 0 on the road and on the strip beside it.

    road: Y X uint8 over `grid`, 0 beside the road; its sides are whole numbers of CELL_M.
    """
    coarse = grid.coarser(round(CELL_M / grid.cell))
    small = cv2.resize(road, coarse.shape[::-1], interpolation=cv2.INTER_AREA)
    away = cv2.distanceTransform((small == 0).astype(np.uint8), cv2.DIST_L2, 5) * np.float32(coarse.cell)
    beyond = np.clip(away - STRIP_M, 0, _BANK_WIDTH_M)
    rng = np.random.default_rng([seed, 0x7E26])
    banks = _BANK_SLOPE * noise.smooth(rng, coarse.shape, _BANK_LENGTH_M / coarse.cell) * beyond
    plants = _PLANT_M * np.maximum(noise.smooth(rng, coarse.shape, _PLANT_LENGTH_M / coarse.cell), 0)
    return (banks + plants * np.minimum(beyond, 1.0)).astype(np.float32), coarse
