# SPDX-License-Identifier: Apache-2.0
"""Interpolated poses and the tree of frames, against hand-worked numbers."""

import numpy as np
import pytest

from mapkd_core.bags.poses import MAX_EXTRAPOLATION_NS, FrameTree, PoseTrack
from mapkd_core.geometry import from_euler, inverse, planar, transform

SECOND = 10**9


def test_halfway_between_two_poses():
    track = PoseTrack({0: planar(0, 0, 0), SECOND: planar(10, 4, np.pi / 2)})
    assert np.allclose(track.at(SECOND // 2), planar(5, 2, np.pi / 4))
    assert np.allclose(track.at(SECOND), planar(10, 4, np.pi / 2))


def test_the_turn_takes_the_short_way_round():
    track = PoseTrack({0: planar(0, 0, 3.0), SECOND: planar(0, 0, -3.0)})
    assert np.allclose(track.at(SECOND // 2), planar(0, 0, np.pi))


def test_motion_goes_on_a_little_beyond_the_ends_and_no_further():
    track = PoseTrack({0: planar(0, 0, 0), SECOND: planar(10, 0, 0.1)})
    assert np.allclose(track.at(SECOND + 50_000_000), planar(10.5, 0, 0.105))
    assert np.allclose(track.at(-50_000_000), planar(-0.5, 0, -0.005))
    assert track.at(SECOND + MAX_EXTRAPOLATION_NS + 1) is None
    assert track.at(-MAX_EXTRAPOLATION_NS - 1) is None


def test_stamps_of_this_century_keep_their_nanoseconds():
    start = 1_700_000_000 * SECOND
    track = PoseTrack({start: planar(0, 0, 0), start + 1000: planar(1, 0, 0)})
    assert np.allclose(track.at(start + 1)[0, 3], 0.001)


def test_one_pose_is_a_track_and_none_is_not():
    assert np.allclose(PoseTrack({5: planar(1, 2, 3)}).at(5), planar(1, 2, 3))
    with pytest.raises(ValueError, match="at least one pose"):
        PoseTrack({})


MOUNT = transform(from_euler(0.1, 0.2, 0.3), (1, 2, 3))
HEAD = transform(from_euler(0, 0, -1), (0, 0, 1))
TREE = FrameTree(
    {
        ("map", "odom"): {0: np.eye(4)},
        ("odom", "base_link"): {0: planar(0, 0, 0), SECOND: planar(9, 9, 1)},
        ("base_link", "/roof"): {0: MOUNT},
        ("roof", "camera"): {0: HEAD},
    }
)


def test_mountings_follow_the_chain_in_both_directions():
    assert np.allclose(TREE.mounting("base_link", "camera"), MOUNT @ HEAD)
    assert np.allclose(TREE.mounting("camera", "base_link"), inverse(MOUNT @ HEAD))
    assert np.allclose(TREE.mounting("base_link", "base_link"), np.eye(4))
    assert TREE.mounting("base_link", "elsewhere") is None


def test_mountings_over_a_common_root_other_than_the_base():
    """base_footprint above base_link, the camera beside it: the path goes up and down again."""
    tree = FrameTree({("footprint", "base_link"): {0: MOUNT}, ("footprint", "camera"): {0: HEAD}})
    assert np.allclose(tree.mounting("base_link", "camera"), inverse(MOUNT) @ HEAD)


def test_the_vehicles_own_motion_does_not_move_the_mounting():
    assert not TREE.moving("base_link", "camera")
    assert TREE.moving("odom", "camera")


def test_a_loop_is_named():
    with pytest.raises(ValueError, match="loop"):
        FrameTree({("a", "b"): {0: MOUNT}, ("b", "a"): {0: MOUNT}}).mounting("a", "c")
