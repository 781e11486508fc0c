# SPDX-License-Identifier: Apache-2.0
"""What a node's process does before it spins."""

from __future__ import annotations

import gc
from types import SimpleNamespace

import pytest

from mapkd_ros import map_node
from mapkd_ros.spinning import settle


@pytest.fixture(autouse=True)
def _thaw():
    yield
    gc.unfreeze()


def test_what_is_there_is_not_looked_through_again():
    here = [[i] for i in range(1000)]
    settle()
    assert gc.get_freeze_count() > len(here) and not gc.get_objects(generation=2)
    cycle: list = []
    cycle.append(cycle)
    del cycle
    before = gc.get_freeze_count()
    assert gc.collect() >= 1 and gc.get_freeze_count() == before, "what comes later is still collected"


def test_a_map_node_settles_whenever_it_is_activated(monkeypatch):
    """Its network may have been configured long after the process began."""
    assert map_node.settle is settle
    calls: list[str] = []
    pipeline = SimpleNamespace(inputs=SimpleNamespace(cameras={}))
    monkeypatch.setattr(map_node, "settle", lambda: calls.append("settled"))
    monkeypatch.setattr(map_node, "MapPipeline", lambda *given: calls.append("pipeline") or pipeline)
    node = map_node.MapNode.__new__(map_node.MapNode)
    node._predictor, node._outputs, node._settings = object(), object(), None
    node._readiness = SimpleNamespace(announce=lambda: calls.append("ready"))
    monkeypatch.setattr(map_node.MapNode, "get_logger", lambda self: SimpleNamespace(info=lambda text: None))
    node._activate()
    assert calls == ["pipeline", "settled", "ready"]
