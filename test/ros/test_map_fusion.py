# SPDX-License-Identifier: Apache-2.0
"""Topic map/local across processes: the map node with a predictor of a straight road, fed with odometry."""

from __future__ import annotations

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from mapkd.msg import VectorMap
from nav_msgs.msg import Odometry
from rig import HERE, newest

from mapkd_ros import qos
from mapkd_ros.conversions import stamp_ns
from mapkd_ros.map_messages import elements, header

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
FAST = ("--ros-args", "-p", "diagnostics.period_s:=0.2", "-p", "sync.wait_s:=1.0")
FUSING = (*FAST, "-p", "fusion.enabled:=true", "-p", "fusion.min_hits:=2")


def drive(bench, maps, at_ns: int, x: float, frame: str = "odom") -> VectorMap:
    """One frame of the vehicle at x; the map that comes of it."""
    pose = Odometry(header=header(at_ns, frame), child_frame_id="base_link")
    pose.pose.pose.position.x, pose.pose.pose.position.z = x, 4.0
    pose.pose.pose.orientation.w = 1.0
    bench.send(Odometry, "odom", pose)
    bench.spin(0.1)
    before = len(maps)
    bench.capture(at_ns)
    assert bench.until(lambda: len(maps) > before)
    assert stamp_ns(maps[-1].header.stamp) == at_ns
    return maps[-1]


def test_a_line_keeps_its_number_until_odometry_or_time_jump(bench, start):
    process = start(HERE / "straight_road.py", *FUSING)
    maps, diagnostics = bench.listen(VectorMap, "map/local"), bench.listen(DiagnosticArray, "/diagnostics")
    bench.offer(Odometry, "odom")
    bench.connect()
    made = [drive(bench, maps, START_NS + i * PERIOD_NS, float(i)) for i in range(10)]
    assert len(made[0].polylines) == 0, "found once is not enough to be told"
    (line,) = made[-1].polylines
    assert made[-1].header.frame_id == "odom" and made[-1].model_id == "road@1"
    assert {p.track_id for m in made for p in m.polylines} == {1}
    xy = elements(made[-1])[0].vertices_m
    assert np.ptp(xy[:, 0]) > 65, "older ends stay behind the vehicle"
    assert np.abs(xy[20:40, 1] - 2).mean() < 0.1, "the noise of ten frames averages out"
    assert len(line.point_stddev) == len(line.points) and 0 < min(line.point_stddev) < 0.15
    assert line.points[0].z == 4.0, "the height of the ground"
    assert (made[-1].range_min.x, made[-1].range_max.x) == (9 - 60, 9 + 60)
    assert newest(diagnostics, "fusion")[0] in ("", "fusing")
    jumped = [drive(bench, maps, START_NS + (10 + i) * PERIOD_NS, 500.0 + i) for i in range(2)]
    assert [[p.track_id for p in m.polylines] for m in jumped] == [[], [2]]
    back = [drive(bench, maps, START_NS - (20 - i) * PERIOD_NS, 500.0 + i) for i in range(2)]
    assert back[0].input.temporal_reset and [[p.track_id for p in m.polylines] for m in back] == [[], [3]]
    told = {"tracks": "1", "resets_odometry_jump": "1", "resets_time_jump": "1", "not_fused": "0"}
    assert bench.until(lambda: told.items() <= newest(diagnostics, "fusion")[2].items()), newest(diagnostics, "fusion")
    assert process.interrupt()[0] == 0 and "Traceback" not in process.output


def test_what_is_fused_is_in_the_frame_that_the_odometry_is_told_in(bench, start):
    """A localiser tells `map`, and then counts from far away: both are said, and nothing of two frames is joined."""
    process = start(HERE / "straight_road.py", *FAST, "-p", "fusion.enabled:=true")
    maps, diagnostics = bench.listen(VectorMap, "map/local"), bench.listen(DiagnosticArray, "/diagnostics")
    bench.offer(Odometry, "odom")
    bench.connect()
    made = [drive(bench, maps, START_NS + i * PERIOD_NS, float(i), "/map") for i in range(3)]
    assert {m.header.frame_id for m in made} == {"map"} and {p.track_id for m in made for p in m.polylines} == {1}
    other = drive(bench, maps, START_NS + 3 * PERIOD_NS, 3.0, "odom")
    assert other.header.frame_id == "odom" and [p.track_id for p in other.polylines] == [2]
    assert "odometry is in odom, before in map" in process.output
    drive(bench, maps, START_NS + 4 * PERIOD_NS, 4.4e6, "utm")
    assert bench.until(lambda: "utm begins 4400 km away" in newest(diagnostics, "fusion")[0]), process.output
    assert newest(diagnostics, "output")[2]["odometry_frame_changed"] == "2"


def test_without_odometry_maps_go_out_as_ever_and_it_is_said(bench, start):
    process = start(HERE / "straight_road.py", *FUSING)
    vectors, local = bench.listen(VectorMap, "map/vector_map"), bench.listen(VectorMap, "map/local")
    diagnostics = bench.listen(DiagnosticArray, "/diagnostics")
    bench.connect()
    bench.capture(START_NS)
    assert bench.until(lambda: vectors), process.output
    assert bench.until(lambda: newest(diagnostics, "fusion")[2].get("not_fused") == "1"), process.output
    message, level, _ = newest(diagnostics, "fusion")
    assert level == b"\x01" and "no odometry" in message and not local


def test_by_default_there_is_no_such_topic(bench, start):
    start(HERE / "straight_road.py", *FAST)
    vectors = bench.listen(VectorMap, "map/vector_map", qos.LOSSLESS)
    bench.connect()
    bench.capture(START_NS)
    assert bench.until(lambda: vectors)
    assert bench.count_publishers("map/local") == 0
