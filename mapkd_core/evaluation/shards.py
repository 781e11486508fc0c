# SPDX-License-Identifier: Apache-2.0
"""One evaluation over several machines: each takes its share and leaves its sums in a file, rank 0 adds them up.

RANK and WORLD_SIZE come from the environment, as torchrun and many cluster schedulers set them. Nothing is sent over
the network; all ranks must see the folder. A file says which question it answers; one of another question is not read.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from mapkd_core.evaluation.evaluate import Evaluator
from mapkd_core.grid import BevGrid
from mapkd_core.writing import write_json

T = TypeVar("T")
log = logging.getLogger(__name__)
PATIENCE_S = 24 * 3600.0
_POLL_S, _TELL_EVERY_S = 0.5, 60.0


@dataclass(frozen=True)
class Share:
    """rank: of this process among `size`."""

    rank: int = 0
    size: int = 1

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """What this rank works on: neighbours, so that the shares of all ranks one after the other are `items`."""
        bounds = [len(items) * r // self.size for r in (self.rank, self.rank + 1)]
        return items[bounds[0] : bounds[1]]


def from_environment(environment: Mapping[str, str] = os.environ) -> Share:
    """RANK of WORLD_SIZE; alone where neither is set. Raises ValueError where they are no such numbers."""
    texts = environment.get("RANK", "0"), environment.get("WORLD_SIZE", "1")
    if all(text.isdigit() for text in texts) and int(texts[0]) < int(texts[1]):
        return Share(int(texts[0]), int(texts[1]))
    raise ValueError(f"RANK = {texts[0]}, WORLD_SIZE = {texts[1]}: expected 0 <= RANK < WORLD_SIZE; or unset both")


def workers(wanted: int | None, environment: Mapping[str, str] = os.environ) -> int:
    """Processes of this rank: what is wanted, else the cores that the ranks of this machine leave each other."""
    beside = environment.get("LOCAL_WORLD_SIZE", "1")
    return wanted or max(1, (os.cpu_count() or 1) // (int(beside) if beside.isdigit() and int(beside) else 1))


def prepare(folder: Path, share: Share) -> None:
    """Remove what an earlier run of this rank has left, so that rank 0 does not take it for today's."""
    _file(folder, share.rank).unlink(missing_ok=True)


def leave(folder: Path, share: Share, question: Mapping[str, Any], answer: Mapping[str, Any]) -> Path:
    """Write this rank's answer; returns its file."""
    write_json(_file(folder, share.rank), {"question": dict(question), "answer": dict(answer)}, indent=None)
    return _file(folder, share.rank)


def gather(folder: Path, share: Share, question: Mapping[str, Any], patience_s: float = PATIENCE_S) -> list[Any]:
    """The answers in the order of the ranks, as soon as all are there; the folder is removed then.

    Raises TimeoutError where one is not there after `patience_s`.
    """
    asked = json.loads(json.dumps(dict(question)))
    begin_s = told_s = time.monotonic()
    while missing := [rank for rank in range(share.size) if _answer(folder, rank, asked) is None]:
        now_s = time.monotonic()
        if now_s - begin_s > patience_s:
            raise TimeoutError(
                f"ranks {missing} left nothing in {folder} within {patience_s:g} s; do they run, and see that folder?"
            )
        if now_s - told_s > _TELL_EVERY_S:
            log.warning("waiting for ranks %s, to leave their scores in %s", missing, folder)
            told_s = now_s
        time.sleep(_POLL_S)
    answers = [_answer(folder, rank, asked) for rank in range(share.size)]
    shutil.rmtree(folder)
    return answers


def merged(states: Sequence[Mapping[str, Any]]) -> dict[str, Evaluator]:
    """Kind of vectors -> evaluator of all frames, from what `Evaluator.state` of each rank says by kind."""
    evaluators: dict[str, Evaluator] = {}
    for by_kind in states:
        for kind, state in by_kind.items():
            if kind not in evaluators:
                is_calibrated = state["calibration"] is not None
                evaluators[kind] = Evaluator(BevGrid(**state["grid"]), state["classes"], calibrated=is_calibrated)
            evaluators[kind].merge(state)
    return evaluators


def _file(folder: Path, rank: int) -> Path:
    return folder / f"rank-{rank}.json"


def _answer(folder: Path, rank: int, question: Any) -> Any:
    """None where it is not there yet, or answers another question."""
    try:
        content = json.loads(_file(folder, rank).read_text())
    except FileNotFoundError:
        return None
    return content["answer"] if content.get("question") == question else None
