# SPDX-License-Identifier: Apache-2.0
"""How `mapkd evaluate` works over several processes that torchrun has started: each leaves its sums, rank 0 adds up."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_core.commands.result import Result

if TYPE_CHECKING:
    from mapkd_core.evaluation.evaluate import Evaluator
    from mapkd_core.evaluation.shards import Share


def share_of(options: argparse.Namespace) -> Share:
    """What torchrun has given this process. Raises ValueError for what only one process can write."""
    from mapkd_core.evaluation import shards

    share = shards.from_environment()
    if share.size > 1 and (options.per_frame or options.pictures or not options.out):
        raise ValueError(
            f"WORLD_SIZE = {share.size}: several processes need --out FILE in a folder that all see, and can do "
            "neither --per-frame nor --pictures; unset WORLD_SIZE where only one was meant"
        )
    if share.size > 1:
        shards.prepare(_ranks(options), share)
    return share


def _ranks(options: argparse.Namespace) -> Path:
    return options.out.with_name(f"{options.out.name}.ranks")


def gathered(
    share: Share,
    options: argparse.Namespace,
    question: dict[str, Any],
    overall: dict[str, Evaluator],
    worlds: dict[str, Any],
) -> Result | tuple[dict[str, Evaluator], dict[str, Any]]:
    """Leaves what this rank found. Rank 0 gets what all have found, the others what they say at the end."""
    from mapkd_core.evaluation import shards

    answer = {"overall": {kind: evaluator.state() for kind, evaluator in overall.items()}, "worlds": worlds}
    shards.leave(_ranks(options), share, question, answer)
    if share.rank:
        return _one_of(share, options, worlds)
    answers = shards.gather(_ranks(options), share, question)
    everywhere = {name: scores for answer in answers for name, scores in answer["worlds"].items()}
    return shards.merged([answer["overall"] for answer in answers]), everywhere


def _one_of(share: Share, options: argparse.Namespace, worlds: dict[str, Any]) -> Result:
    """What a rank says that leaves the report to rank 0."""
    summary = {"rank": share.rank, "ranks": share.size, "worlds": list(worlds), "out": str(options.out)}
    return Result(summary, f"rank {share.rank} of {share.size}: {len(worlds)} worlds; rank 0 writes {options.out}")
