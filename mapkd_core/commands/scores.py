# SPDX-License-Identifier: Apache-2.0
"""A report in one flat line of numbers, for summaries."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mapkd_core.evaluation.report import Report


def short(report: Report) -> dict[str, float | None]:
    """mIoU and mAP with their classes, 0..1; None where a class has no truth."""
    numbers = {"miou": report.miou, "map": report.map}
    numbers |= {f"iou_{name}": value for name, value in report.iou.items()}
    numbers |= {f"ap_{name}": value for name, value in report.class_ap.items()}
    return {name: None if math.isnan(value) else round(value, 4) for name, value in numbers.items()}
