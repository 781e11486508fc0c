# SPDX-License-Identifier: Apache-2.0
"""Worker processes that are the parallelism themselves: each computes on one thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, as_completed, wait
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

_Job = TypeVar("_Job")
_Result = TypeVar("_Result")
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@contextmanager
def workers(count: int | None = None, at_most: int | None = None) -> Iterator[ProcessPoolExecutor]:
    """A pool of fresh processes, one per core where `count` is not given, never more than `at_most`.

    Libraries of linear algebra read their number of threads when they are loaded, so it is set before the processes
    start; with threads of their own, two processes on two cores were several times slower than one. Where the block
    ends by an exception, waiting work is dropped.
    """
    wanted = count or os.cpu_count() or 1
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    pool = ProcessPoolExecutor(max(1, min(wanted, at_most or wanted)), get_context("spawn"), _one_thread)
    try:
        yield pool
        pool.shutdown()
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def as_done(
    pool: ProcessPoolExecutor, call: Callable[[_Job], _Result], jobs: Iterable[_Job], waiting: int
) -> Iterator[_Result]:
    """Results in any order. Jobs are made while others run, at most `waiting` ahead: all at once may be too large."""
    begun: set[Future[_Result]] = set()
    for job in jobs:
        if len(begun) >= waiting:
            done, begun = wait(begun, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
        begun.add(pool.submit(call, job))
    yield from (future.result() for future in as_completed(begun))


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)
