# SPDX-License-Identifier: Apache-2.0
"""Workers compute on one thread each, and the parent's environment is as it was."""

import os
import time

import cv2
import pytest
import torch

from mapkd_core import processes


def test_each_worker_has_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    with processes.workers(2) as pool:
        found = [
            pool.submit(ask, *of)
            for ask, *of in ((os.getenv, "OPENBLAS_NUM_THREADS"), (torch.get_num_threads,), (cv2.getNumThreads,))
        ]
        assert [one.result() for one in found] == ["1", 1, 1]
    assert os.environ["OMP_NUM_THREADS"] == "7" and "OPENBLAS_NUM_THREADS" not in os.environ


def test_an_exception_ends_the_pool_at_once():
    with pytest.raises(RuntimeError, match="enough"), processes.workers(1, at_most=5) as pool:
        waiting = [pool.submit(time.sleep, 0.2) for _ in range(50)]
        raise RuntimeError("enough")
    assert any(one.cancelled() for one in waiting)
