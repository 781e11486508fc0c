# SPDX-License-Identifier: Apache-2.0
"""Transforms and projection against hand-worked numbers, and the round trips that hold for every rotation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mapkd_core import geometry

angles = st.floats(-np.pi, np.pi)


def test_pose_on_the_ground_moves_points():
    map_T_ego = geometry.planar(10.0, 5.0, np.pi / 2)  # at (10, 5), heading left of the map's x
    np.testing.assert_allclose(geometry.apply(map_T_ego, [2.0, 0.0, 1.0]), (10.0, 7.0, 1.0), atol=1e-12)
    np.testing.assert_allclose(geometry.apply_planar(map_T_ego, [[0.0, 3.0]]), [(7.0, 5.0)], atol=1e-12)


def test_inverse_undoes():
    a_T_b = geometry.transform(geometry.from_euler(0.3, -0.2, 1.1), (1, 2, 3))
    np.testing.assert_allclose(geometry.inverse(a_T_b) @ a_T_b, np.eye(4), atol=1e-12)


def test_euler_angles_turn_about_their_axes():
    np.testing.assert_allclose(geometry.from_euler(0, 0, np.pi / 2) @ (1, 0, 0), (0, 1, 0), atol=1e-12)
    np.testing.assert_allclose(geometry.from_euler(0, np.pi / 2, 0) @ (1, 0, 0), (0, 0, -1), atol=1e-12)
    np.testing.assert_allclose(geometry.from_euler(np.pi / 2, 0, 0) @ (0, 1, 0), (0, 0, 1), atol=1e-12)


def test_projection_by_hand():
    K = np.array([[100.0, 0, 50], [0, 100, 40], [0, 0, 1]])
    ahead = np.array([[0, 0, 1.0], [-1, 0, 0], [0, -1, 0]])
    ego_T_camera = geometry.transform(ahead, (1.0, 0.0, 1.5))
    pixels, depth = geometry.project([[11.0, 2.0, 0.0], [-1.0, 0.0, 0.0]], K, ego_T_camera)
    np.testing.assert_allclose(pixels[0], (30, 55))  # 2 m left at 10 m: 20 px left; 1.5 m below: 15 px down
    np.testing.assert_allclose(depth, (10, -2))


def test_projection_of_the_camera_itself_is_finite():
    pixels, depth = geometry.project(np.zeros((1, 3)), np.eye(3), np.eye(4))
    assert np.isfinite(pixels).all() and depth[0] == 0


@given(angles, angles, angles)
def test_quaternion_round_trip(roll, pitch, yaw):
    rotation = geometry.from_euler(roll, pitch, yaw)
    quaternion = geometry.rotation_to_quaternion(rotation)
    assert quaternion[3] >= 0
    np.testing.assert_allclose(geometry.quaternion_to_rotation(quaternion), rotation, atol=1e-9)


def test_quaternion_by_hand():
    half = np.sqrt(0.5)
    np.testing.assert_allclose(
        geometry.quaternion_to_rotation((0, 0, 2 * half, 2 * half)), geometry.from_euler(0, 0, np.pi / 2), atol=1e-12
    )


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (np.nan, 0, 0, 1), (np.inf, 0, 0, 1)])
def test_what_is_no_quaternion_is_refused(quaternion):
    with pytest.raises(ValueError, match="unit quaternion"):
        geometry.quaternion_to_rotation(quaternion)


def test_interpolation_halves_place_and_angle_the_short_way():
    half = geometry.interpolate(geometry.planar(0, 0, np.radians(170)), geometry.planar(2, 4, np.radians(-170)), 0.5)
    np.testing.assert_allclose(half, geometry.planar(1, 2, np.pi), atol=1e-9)


def test_extrapolation_keeps_the_velocity():
    beyond = geometry.interpolate(geometry.planar(0, 0, 0), geometry.planar(1, 0, 0.1), 1.5)
    np.testing.assert_allclose(beyond, geometry.planar(1.5, 0, 0.15), atol=1e-9)


@given(angles, angles, angles, st.sampled_from([0, 1e-12, 1e-8, 1e-3, 0.5, 3.0, np.pi - 1e-7]), st.floats(-0.5, 1.5))
def test_interpolation_turns_evenly_whatever_the_turn(roll, pitch, yaw, turn, share):
    """Against scipy's rotation vectors; no turn at all and half a turn have no axis to read off."""
    first, axis = geometry.from_euler(roll, pitch, yaw), geometry.from_euler(yaw, roll, pitch)[0]
    second = first @ Rotation.from_rotvec(turn * axis).as_matrix()
    found = geometry.interpolate(geometry.transform(first, (0, 0, 0)), geometry.transform(second, (0, 0, 0)), share)
    expected = first @ Rotation.from_rotvec(share * turn * axis).as_matrix()
    np.testing.assert_allclose(found[:3, :3], expected, atol=1e-7)
