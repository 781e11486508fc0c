# SPDX-License-Identifier: Apache-2.0
"""Where a camera was lost the semantic map tells what was seen there before, across processes."""

from __future__ import annotations

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from mapkd.msg import BevSemanticMap
from nav_msgs.msg import Odometry
from rig import CAMERAS, newest

from mapkd_ros.map_messages import header, probability_layers

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
FAST = ("--blind-back", "--ros-args", "-p", "diagnostics.period_s:=0.2", "-p", "sync.silent_s:=0.02")
WITHOUT_BACK = tuple(name for name in CAMERAS if name != "CAM_BACK")
LINE = 110  # row that the stub paints


def drive(bench, maps, step: int, x: float, cameras, with_odometry: bool = True) -> BevSemanticMap:
    """One frame of the vehicle at x."""
    at_ns = START_NS + step * PERIOD_NS
    if with_odometry:
        pose = Odometry(header=header(at_ns, "odom"), child_frame_id="base_link")
        pose.pose.pose.position.x, pose.pose.pose.orientation.w = x, 1.0
        bench.send(Odometry, "odom", pose)
        bench.spin(0.1)
    before = len(maps)
    bench.capture(at_ns, cameras=cameras)
    assert bench.until(lambda: len(maps) > before)
    return maps[-1]


def painted(message: BevSemanticMap) -> np.ndarray:
    """X bool: where the divider's row is sure."""
    return probability_layers(message)[0, LINE] > 200


def test_a_lost_camera_s_part_is_remembered_while_the_vehicle_drives_on(bench, map_node):
    node = map_node(*FAST)
    maps, diagnostics = bench.listen(BevSemanticMap, "map/semantic_map"), bench.listen(DiagnosticArray, "/diagnostics")
    bench.offer(Odometry, "odom")
    bench.connect()
    assert painted(drive(bench, maps, 0, 0.0, CAMERAS)).all(), node.output
    lost = drive(bench, maps, 1, 3.0, WITHOUT_BACK)
    assert painted(lost).all(), "3 m on, all that lies behind was seen before"
    looked = np.array(lost.observed).reshape(lost.info.height, lost.info.width)
    assert not looked[:, :200].any() and looked[:, 200:].all(), "that nobody looks there is still said"
    share = lambda: newest(diagnostics, "output")[2].get("remembered_percent")  # noqa: E731
    assert bench.until(lambda: share() == "50"), share()
    assert bench.set("map_node", memory__enabled=False).successful
    assert (painted(drive(bench, maps, 2, 4.0, WITHOUT_BACK)) == (np.arange(400) >= 200)).all(), "switched off"
    assert bench.set("map_node", memory__enabled=True).successful
    drive(bench, maps, 3, 5.0, CAMERAS)
    anew = drive(bench, maps, -20, 5.0, WITHOUT_BACK)  # the bag began again
    assert anew.input.temporal_reset and not painted(anew)[:200].any()
    assert node.interrupt()[0] == 0 and "Traceback" not in node.output


def test_without_odometry_nothing_is_remembered(bench, map_node):
    node = map_node(*FAST)
    maps = bench.listen(BevSemanticMap, "map/semantic_map")
    bench.connect()
    drive(bench, maps, 0, 0.0, CAMERAS, with_odometry=False)
    assert not painted(drive(bench, maps, 1, 0.0, WITHOUT_BACK, with_odometry=False))[:200].any(), node.output
