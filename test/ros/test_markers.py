# SPDX-License-Identifier: Apache-2.0
"""What RViz gets: lines, deletions, images and grids of small maps worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from mapkd.msg import BevSemanticMap, InputStatus, MapPolyline, VectorMap
from nav_msgs.msg import OccupancyGrid
from rig import HERE
from sensor_msgs.msg import Image
from visualization_msgs.msg import Marker, MarkerArray

from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, LocalMap, MapElement
from mapkd_ros import qos
from mapkd_ros.map_messages import CLASS_IDS, header, semantic_map, vector_map
from mapkd_ros.markers import MarkerStyle, colour_image, label_array, label_image, marker_array, occupancy_grid

SQUARE = np.array([[0.0, 0], [1, 0], [1, 1]])


def lines(*items) -> VectorMap:
    return vector_map(LocalMap(BevGrid(), items), header(5, "base_link"), InputStatus(), "m@1")


def small_map() -> BevSemanticMap:
    """4 columns along x, 2 rows along y; a divider at the front left cell; the rear right cell unobserved."""
    probability = np.zeros((3, 2, 4), np.uint8)
    probability[0, 1, 3], probability[2, 0, 2] = 255, 51
    observed = np.ones((2, 4), bool)
    observed[0, 0] = False
    grid = BevGrid(0, 4, -1, 1, 1)
    return semantic_map(LocalMap(grid, (), CLASSES, probability, observed), header(5, "base_link"), InputStatus())


def test_lines_become_one_marker_per_class_and_polygons_close():
    array = marker_array(lines(MapElement("ped_crossing", SQUARE, True), MapElement("divider", SQUARE)), MarkerStyle())
    by_id = {marker.id: marker for marker in array.markers}
    crossing, divider = by_id[MapPolyline.CLASS_PED_CROSSING], by_id[MapPolyline.CLASS_DIVIDER]
    assert [(p.x, p.y) for p in crossing.points] == [(0, 0), (1, 0), (1, 0), (1, 1), (1, 1), (0, 0)]
    assert len(divider.points) == 4 and divider.points[0].z == pytest.approx(0.05)
    assert divider.action == Marker.ADD and divider.frame_locked and divider.lifetime.sec == 1
    assert by_id[MapPolyline.CLASS_BOUNDARY].action == Marker.DELETE


def test_an_empty_map_clears_everything_and_ids_never_repeat():
    markers = marker_array(lines(), MarkerStyle()).markers
    assert {marker.action for marker in markers} == {Marker.DELETE}
    assert {marker.id for marker in markers} == set(CLASS_IDS.values()) and len(markers) == len(CLASS_IDS)


def test_faint_elements_are_left_out():
    style = MarkerStyle(min_confidence=0.5)
    markers = marker_array(lines(MapElement("divider", SQUARE, False, 0.4)), style).markers
    assert all(marker.action == Marker.DELETE for marker in markers)


def test_label_and_colour_image_have_their_corners_right():
    message = small_map()
    labels = label_array(message)
    np.testing.assert_array_equal(labels, [[255, 0, 0, 0], [0, 0, 0, 1]])
    mono = label_image(message, labels)
    assert (mono.encoding, mono.width, mono.height, mono.step) == ("mono8", 4, 2, 4)
    assert bytes(mono.data) == labels.tobytes()
    colour = colour_image(message, labels)
    pixels = np.frombuffer(colour.data, np.uint8).reshape(4, 2, 3)
    assert pixels[0, 0].any() and not pixels[0, 1].any(), "front is up, left is left"
    assert tuple(pixels[3, 1]) == (60, 60, 60)


def test_occupancy_is_percent_and_minus_one_where_nobody_looks():
    grid = occupancy_grid(small_map(), "boundary")
    assert list(grid.data) == [-1, 0, 20, 0, 0, 0, 0, 0]
    assert (grid.info.width, grid.info.height, grid.info.origin.position.y) == (4, 2, -1)
    with pytest.raises(ValueError, match="it has divider"):
        occupancy_grid(small_map(), "lane")


def test_the_node_draws_maps_and_survives_one_that_contradicts_itself(bench, start):
    process = start("-m", "mapkd_ros.marker_node", "--ros-args", "-p", "occupancy_layers:=[divider]")
    markers, images = bench.listen(MarkerArray, "map/markers"), bench.listen(Image, "map/label_image")
    grids, colours = bench.listen(OccupancyGrid, "map/occupancy/divider"), bench.listen(Image, "map/colour_image")
    bench.offer(VectorMap, "map/vector_map", qos.OUTPUT)
    bench.offer(BevSemanticMap, "map/semantic_map", qos.OUTPUT)
    bench.meet()
    broken = small_map()
    broken.layers = ["divider"]
    bench.send(BevSemanticMap, "map/semantic_map", broken)
    assert bench.until(lambda: "24 bytes" in process.output), process.output
    bench.send(BevSemanticMap, "map/semantic_map", small_map())
    bench.send(VectorMap, "map/vector_map", lines(MapElement("divider", SQUARE)))
    assert bench.until(lambda: markers and images and grids and colours), process.output
    assert HERE and process.interrupt()[0] == 0


def test_how_it_draws_may_be_changed_while_it_runs_what_it_draws_may_not(bench, start):
    process = start("-m", "mapkd_ros.marker_node")
    markers = bench.listen(MarkerArray, "map/markers")
    bench.offer(VectorMap, "map/vector_map", qos.OUTPUT)
    assert bench.until(lambda: bench.count_subscribers("map/vector_map"), 180), process.output
    bench.meet()
    message = lines(MapElement("divider", SQUARE, confidence=0.6))
    drawn = lambda: next(m for m in markers[-1].markers if m.id == MapPolyline.CLASS_DIVIDER)  # noqa: E731
    bench.send(VectorMap, "map/vector_map", message)
    assert bench.until(lambda: markers), process.output
    assert drawn().scale.x == 0.15 and drawn().action == Marker.ADD
    assert bench.set("marker_node", line_width_m=0.4).successful
    bench.send(VectorMap, "map/vector_map", message)
    assert bench.until(lambda: len(markers) == 2) and drawn().scale.x == 0.4
    assert bench.set("marker_node", min_confidence=0.7).successful
    bench.send(VectorMap, "map/vector_map", message)
    assert bench.until(lambda: len(markers) == 3) and drawn().action == Marker.DELETE
    assert not bench.set("marker_node", truth=True).successful
    assert not bench.set("marker_node", line_width_m=-1.0).successful
    assert process.interrupt()[0] == 0
