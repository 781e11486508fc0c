# SPDX-License-Identifier: Apache-2.0
"""What `mapkd evaluate` adds up over frames: scores over all of them, of every world, and of each frame on its own."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mapkd_core.evaluation.evaluate import Evaluator
    from mapkd_core.evaluation.frame_scores import FrameScores
    from mapkd_core.evaluation.rendered import Predicted


def score(
    groups: Iterable[Sequence[Predicted]], count: int | None, first: str, each: FrameScores | None = None
) -> tuple[dict[str, Evaluator], dict[str, Evaluator]]:
    """By kind of vectors over everything, and by world for the kind `first`; each frame on its own into `each`."""
    from tqdm import tqdm

    from mapkd_core.evaluation.evaluate import Evaluator

    overall: dict[str, Evaluator] = {}
    by_world: dict[str, Evaluator] = {}
    for frames in tqdm(groups, total=count, desc="evaluate", unit="frame" if count is None else "world", delay=2):
        for frame in frames:
            if each:
                each.add(frame)
            for vectors, local_map in frame.maps.items():
                made = overall.get(vectors) or Evaluator(local_map.grid, local_map.classes, calibrated=True)
                overall[vectors] = made
                made.add(local_map, frame.truth, frame.labelled, frame.light, frame.seen)
                if vectors == first:
                    alone = by_world.setdefault(frame.world, Evaluator(local_map.grid, local_map.classes))
                    alone.add(local_map, frame.truth, frame.labelled)
    return overall, by_world


def each_frame(each: FrameScores, overall: dict[str, Evaluator], options: argparse.Namespace) -> dict[str, Any]:
    """What --per-frame adds to the JSON: curves, all frames, and the worst of them; pictures as seen from the JSON."""
    curves = {
        vectors: {name: {f"{t:g}": points for t, points in by_t.items()} for name, by_t in evaluator.curves().items()}
        for vectors, evaluator in overall.items()
    }
    drawn = each.write_pictures(options.pictures) if options.pictures else {}
    drawn = {token: os.path.relpath(picture, options.out.parent) for token, picture in drawn.items()}
    worst = [{"token": frame.token, "picture": drawn.get(frame.token)} for frame in each.worst()]
    return {"curves": curves, "each_frame": each.frames, "worst": worst}
