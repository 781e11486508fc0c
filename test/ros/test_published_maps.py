# SPDX-License-Identifier: Apache-2.0
"""Published maps against the truth: what spoils one map spoils no report, and memory is bounded whatever comes."""

from __future__ import annotations

import numpy as np
import pytest
from mapkd.msg import BevSemanticMap, InputStatus, VectorMap

from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, LocalMap, MapElement
from mapkd_ros.map_messages import header, semantic_map, vector_map
from mapkd_ros.published_maps import PublishedMaps

GRID = BevGrid(-6, 6, -3, 3, 0.5)
LINE = MapElement("divider", np.array([[-6.0, 1.0], [6.0, 1.0]]))


def vectors(at_ns: int, grid: BevGrid = GRID) -> VectorMap:
    return vector_map(LocalMap(grid, (LINE,)), header(at_ns, "base_link"), InputStatus(), "m@1")


def semantic(at_ns: int) -> BevSemanticMap:
    probability = np.zeros((len(CLASSES), *GRID.shape), np.uint8)
    return semantic_map(LocalMap(GRID, (LINE,), CLASSES, probability), header(at_ns, "base_link"), InputStatus())


def send(maps: PublishedMaps, at_ns: int) -> None:
    """As over DDS: truth, then the vectors, then the raster."""
    maps.add_anchor(at_ns, at_ns / 10)
    maps.add_truth(vectors(at_ns))
    maps.add_vectors(vectors(at_ns), at_ns / 10 + 0.05)
    maps.add_semantic(semantic(at_ns))


def test_every_frame_is_scored_with_its_raster_however_few_are_kept():
    maps = PublishedMaps(max_pending=4)
    for at_ns in range(1, 12):
        send(maps, at_ns)
    report = maps.report()
    assert (report["frames_in"], report["frames_out"], report["frames_scored"]) == (11, 11, 11)
    assert report["iou"]["divider"] == 0, "the rasters are empty; drawn vectors would score"
    assert report["class_ap"]["divider"] == pytest.approx(1.0) and report["maps_not_scored"] == 0
    assert report["latency_ms"]["p50"] == pytest.approx(50)


def test_a_map_that_contradicts_itself_is_counted_and_the_rest_is_scored():
    maps = PublishedMaps(max_pending=4)
    for at_ns in range(1, 9):
        send(maps, at_ns)
        if at_ns == 3:
            broken = semantic(at_ns)
            broken.layers = ["divider"]
            maps.add_semantic(broken)
    report = maps.report()
    assert (report["frames_scored"], report["maps_not_scored"]) == (7, 1)
    assert "864 bytes" in report["not_scored_because"]


def test_truth_without_maps_is_not_hoarded():
    """A map node that died while the bag plays on, for hours."""
    maps = PublishedMaps(max_pending=10)
    for at_ns in range(1, 101):
        maps.add_truth(vectors(at_ns))
    held = [frame for frame in maps._frames.values() if frame.truth is not None]
    assert len(held) <= 10
    report = maps.report()
    assert (report["frames_in"], report["frames_out"], report["frames_out_over_in"]) == (100, 0, 0.0)


def test_what_comes_long_after_its_frame_is_counted():
    maps = PublishedMaps(max_pending=4)
    for at_ns in range(1, 9):
        maps.add_truth(vectors(at_ns))
    maps.add_vectors(vectors(1), 1.0)
    report = maps.report()
    assert (report["frames_out"], report["maps_not_scored"], report["frames_scored"]) == (1, 1, 0)
