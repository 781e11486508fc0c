# SPDX-License-Identifier: Apache-2.0
"""Worker processes that are the parallelism themselves: each computes on one thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context

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


def _one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)
