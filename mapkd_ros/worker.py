# SPDX-License-Identifier: Apache-2.0
"""One thread that always works on the newest job: a queue of one, the replaced jobs are counted. No ROS."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)


class LatestWorker:
    """Runs `work(job)` in its own thread. While it is busy only the newest job waits; older ones count as replaced.

    on_error gets what `work` raised; the thread lives on. busy_since: time.monotonic() of the job in hand, or None.
    """

    def __init__(
        self, work: Callable[[Any], None], on_error: Callable[[Exception], None], name: str = "worker"
    ) -> None:
        self._work, self._on_error = work, on_error
        self._condition = threading.Condition()
        self._job: Any = None
        self._is_closed = False
        self.replaced = 0
        self.done = 0
        self.failed = 0
        self.busy_since: float | None = None
        # A daemon: a predictor that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_busy(self) -> bool:
        """Whether a job is in hand, or waits."""
        return self._job is not None or self.busy_since is not None

    def submit(self, job: Any) -> None:
        """Never blocks."""
        with self._condition:
            self.replaced += self._job is not None
            self._job = job
            self._condition.notify()

    def close(self, timeout_s: float = 1.0) -> bool:
        """Drop what waits and end after the job in hand; False when that takes longer than `timeout_s`."""
        with self._condition:
            self._is_closed, self._job = True, None
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _report(self, error: Exception) -> None:
        try:
            self._on_error(error)
        except Exception:  # an error in telling of an error must not end the thread
            logger.exception("error handler of %s failed", self._thread.name)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._is_closed or self._job is not None)
                if self._is_closed:
                    return
                job, self._job = self._job, None
                self.busy_since = time.monotonic()
            try:
                self._work(job)
                self.done += 1
            except Exception as error:
                self.failed += 1
                self._report(error)
            finally:
                self.busy_since = None
                del job
