# SPDX-License-Identifier: Apache-2.0
"""The least time of every stage from JPEG to map: the bytes that it has to move once, over the machine's bandwidth.

Of the network it is the floors of its parts, where operations count, too. What bytes do not show is the price of the
algorithm: a JPEG's bits are read one after the other, so its decoder is far above its floor whatever it is written in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import reduction, scaled_rows


def moved_bytes(
    width: int, height: int, jpeg_bytes: int, cameras: int, config: ModelConfig, is_reduced: bool
) -> dict[str, int]:
    """Stage -> bytes read and written once, of pictures of this size."""
    factor = reduction(width, height, config) if is_reduced else 1
    columns, rows = width // factor, height // factor
    kept = min(1.0, config.image_height / max(1, scaled_rows(columns, rows, config)))  # the sky is not scaled
    decoded, fitted = 3 * columns * rows, 3 * config.image_height * config.image_width
    y, x = config.decoder_grid.shape
    return {
        "decode": cameras * (jpeg_bytes + decoded),
        "resize": cameras * (round(kept * decoded) + fitted),
        "prepare": 2 * cameras * fitted,
        "plan": 2 * 4 * x * y,
        "vectorise": 4 * config.queries * (len(config.classes) + 2 * config.points),
    }


def stage_floors(result: Mapping[str, Any], config: ModelConfig) -> dict[str, dict[str, float]]:
    """Of a result of `budget`: path -> milliseconds by stage, and their `total`."""
    (width, height), bandwidth = result["picture"], result["ceilings"]["bandwidth_gbs"]
    network = sum(row["floor_ms"] for row in result["parts"].values())
    floors = {}
    for path in result["stages_ms"]:
        kind, _, source = path.partition(", ")
        size = result["jpeg_bytes"][source]
        moved = moved_bytes(width, height, size, result["cameras"], config, kind == "reduced")
        least = {stage: count / bandwidth / 1e6 for stage, count in moved.items()} | {"network": network}
        floors[path] = {stage: round(ms, 4) for stage, ms in (least | {"total": sum(least.values())}).items()}
    return floors
