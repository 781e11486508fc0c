# SPDX-License-Identifier: Apache-2.0
"""In what order a map goes out: lines do not wait for the raster, and the cameras are told of whatever comes of it."""

from __future__ import annotations

import threading

import pytest
from mapkd.msg import BevSemanticMap, InputStatus, VectorMap
from rclpy.parameter import Parameter
from stub_predictor import StubPredictor

from mapkd_ros.map_memory import MapMemory
from mapkd_ros.map_node import MapNode

START_NS = 1_700_000_000_000_000_000


@pytest.fixture
def node(bench):
    """A map node in this process, whose every second inference fails."""
    overrides = [Parameter("sync.wait_s", value=1.0)]
    node = MapNode(lambda _: StubPredictor(fail_every=2), context=bench.own_context, parameter_overrides=overrides)
    bench._executor.add_node(node)
    yield node
    node.close()
    bench._executor.remove_node(node)
    node.destroy_node()


def test_lines_are_there_before_the_raster_is_remembered(bench, node, monkeypatch):
    """Which takes up to 8 ms where a camera is lost."""
    came, fill = threading.Event(), MapMemory.fill

    def waits(memory, *given):
        assert came.wait(20), "the raster's memory would hold up the lines"
        return fill(memory, *given)

    monkeypatch.setattr(MapMemory, "fill", waits)
    vectors, rasters = bench.listen(VectorMap, "map/vector_map"), bench.listen(BevSemanticMap, "map/semantic_map")
    inputs = bench.listen(InputStatus, "map/input_status")
    bench.connect()
    bench.capture(START_NS)
    assert bench.until(lambda: vectors and inputs, 15) and not rasters
    came.set()
    assert bench.until(lambda: rasters, 15) and rasters[0].header == vectors[0].header


def test_cameras_are_told_of_where_the_inference_fails(bench, node):
    vectors, inputs = bench.listen(VectorMap, "map/vector_map"), bench.listen(InputStatus, "map/input_status")
    bench.connect()
    bench.capture(START_NS)
    assert bench.until(lambda: len(inputs) == 1)
    bench.capture(START_NS + 100_000_000)
    assert bench.until(lambda: len(inputs) == 2) and len(vectors) == 1
    assert list(inputs[1].camera_states) == [InputStatus.CAMERA_OK] * 6
