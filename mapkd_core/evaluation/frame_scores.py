# SPDX-License-Identifier: Apache-2.0
"""The score of each frame on its own, and pictures of the worst ones: where to look when a mean disappoints.

A mean over frames is not the score of the whole set: IoU and AP of a set pool all frames before they divide.
"""

from __future__ import annotations

import heapq
import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_core.evaluation.evaluate import evaluate
from mapkd_core.evaluation.report import Report

if TYPE_CHECKING:
    from mapkd_core.evaluation.rendered import Predicted

WORST = 10


class FrameScores:
    """Collects frames; of the pictures only those of the `worst` are kept, by mIoU of the first kind of vectors.

    Frames without any truth have scores of their false alarms, but are never called the worst.
    """

    def __init__(self, worst: int = WORST) -> None:
        if worst < 0:
            raise ValueError(f"worst = {worst}; it must not be negative")
        self.frames: list[dict[str, Any]] = []
        self._worst, self._count = worst, 0
        self._heap: list[tuple[float, int, Predicted]] = []

    def add(self, frame: Predicted) -> None:
        """One frame with all its maps."""
        reports = {
            vectors: evaluate([(local_map, frame.truth, frame.labelled)], local_map.grid, local_map.classes)
            for vectors, local_map in frame.maps.items()
        }
        scores = {vectors: _short(report) for vectors, report in reports.items()}
        truths = sum(element.class_name in frame.labelled for element in frame.truth)
        self.frames.append({"token": frame.token, "world": frame.world, "truths": truths, "vectors": scores})
        miou = next(iter(scores.values()))["miou"]
        if truths and miou is not None:
            self._count += 1
            # The heap's root is the best of the worst; of two equal frames the earlier one stays.
            heapq.heappush(self._heap, (-miou, -self._count, frame))
            if len(self._heap) > self._worst:
                heapq.heappop(self._heap)

    def worst(self) -> list[Predicted]:
        """Lowest mIoU first."""
        return [frame for _, _, frame in sorted(self._heap, key=lambda item: (-item[0], -item[1]))]

    def write_pictures(self, folder: Path) -> dict[str, str]:
        """Token -> JPEG of each of the worst frames; `folder` is replaced as a whole. ValueError where it is a file."""
        if folder.is_file():
            raise ValueError(f"{folder} is a file; give a folder for the pictures")
        aside = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        names = {frame.token: f"{rank:02d}-{frame.token}.jpg" for rank, frame in enumerate(self.worst())}
        for frame in self.worst():
            (aside / names[frame.token]).write_bytes(frame.picture)
        if folder.exists():
            _remove(folder)
        aside.rename(folder)
        return {token: str(folder / name) for token, name in names.items()}


def _remove(folder: Path) -> None:
    """Only what an earlier evaluation wrote: ValueError where anything else lies there."""
    strange = [path.name for path in folder.iterdir() if path.suffix != ".jpg"]
    if strange:
        raise ValueError(f"{folder} holds {', '.join(sorted(strange)[:3])}; give a folder for the pictures alone")
    shutil.rmtree(folder)


def _short(report: Report) -> dict[str, Any]:
    """mIoU, mAP, and both by class; None where a class has neither truth nor detection."""

    def ready(value: float) -> float | None:
        return None if math.isnan(value) else round(value, 4)

    return {
        "miou": ready(report.miou), "map": ready(report.map),
        "iou": {name: ready(value) for name, value in report.iou.items()},
        "class_ap": {name: ready(value) for name, value in report.class_ap.items()},
    }  # fmt: skip
