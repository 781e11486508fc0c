# SPDX-License-Identifier: Apache-2.0
"""The queue of one: newest job wins, nothing uncounted, errors and hangs do not block."""

from __future__ import annotations

import threading
import time

from mapkd_ros.worker import LatestWorker


def test_the_newest_job_wins_and_the_replaced_are_counted():
    release, seen = threading.Event(), []

    def work(job):
        seen.append(job)
        release.wait(30)

    worker = LatestWorker(work, on_error=seen.append)
    assert not worker.is_busy
    worker.submit(0)
    assert worker.is_busy, "from here on, not when the thread has noticed"
    while not seen:
        time.sleep(0.001)
    for job in range(1, 6):
        worker.submit(job)
    release.set()
    while worker.done < 2:
        time.sleep(0.001)
    assert seen == [0, 5] and worker.replaced == 4
    assert worker.close()


def test_an_exception_is_handed_over_and_the_next_job_runs():
    errors, done = [], threading.Event()
    worker = LatestWorker(lambda job: done.set() if job else 1 / 0, errors.append)
    worker.submit(0)
    while not errors:
        time.sleep(0.001)
    worker.submit(1)
    assert done.wait(30)
    assert isinstance(errors[0], ZeroDivisionError) and worker.failed == 1
    assert worker.close()


def test_an_error_handler_that_raises_does_not_end_the_thread():
    done = threading.Event()
    worker = LatestWorker(lambda job: done.set() if job else 1 / 0, lambda error: 1 / 0)
    worker.submit(0)
    while not worker.failed:
        time.sleep(0.001)
    worker.submit(1)
    assert done.wait(30) and worker.close()


def test_a_hanging_job_does_not_block_close():
    release = threading.Event()
    worker = LatestWorker(lambda _: release.wait(30), on_error=lambda _: None)
    worker.submit(1)
    while worker.busy_since is None:
        time.sleep(0.001)
    begin = time.monotonic()
    assert not worker.close(timeout_s=0.05)
    assert time.monotonic() - begin < 5
    release.set()
