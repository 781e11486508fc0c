# SPDX-License-Identifier: Apache-2.0
"""A rig spoiled: cameras lost, frozen or swapped, and calibrations that are no longer true. Frame in, frame out.

Three severities each, drawn from `rng` alone. Pictures are shared with the frame that came in, never written to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from mapkd_core.geometry import from_euler
from mapkd_core.types import Camera, Frame

FROZEN_CAMERAS = (1, 2, 4)
SWAPPED = (("CAM_BACK_LEFT", "CAM_BACK_RIGHT"), ("CAM_FRONT_LEFT", "CAM_FRONT_RIGHT"), ("CAM_FRONT", "CAM_BACK"))
TURNED_DEG = (1.0, 2.0, 3.0)
MOVED_M = (0.02, 0.05, 0.10)


def without(frame: Frame, names: Sequence[str]) -> Frame:
    """These cameras gave no picture. Raises ValueError for a name that the frame has not, and where none would stay."""
    known = [camera.name for camera in frame.cameras]
    if unknown := set(names) - set(known):
        raise ValueError(f"cameras {sorted(unknown)} are not in the frame; it has {', '.join(known)}")
    if not set(known) - set(names):
        raise ValueError(f"all {len(known)} cameras would be missing; leave one")
    return _each(frame, lambda c: replace(c, image=None) if c.name in names else c)


def without_some(frame: Frame, count: int, rng: np.random.Generator) -> Frame:
    """`count` cameras, any of them, gave no picture."""
    lost = rng.choice(len(frame.cameras), count, replace=False)
    return without(frame, [frame.cameras[i].name for i in lost])


def frozen(frame: Frame, earlier: Frame, severity: int, rng: np.random.Generator) -> Frame:
    """Some cameras go on giving their picture of `earlier`, with the new stamp and the new pose."""
    count = min(FROZEN_CAMERAS[severity - 1], len(frame.cameras))
    stuck = {frame.cameras[i].name for i in rng.choice(len(frame.cameras), count, replace=False)}
    old = {camera.name: camera.image for camera in earlier.cameras}
    return _each(frame, lambda c: replace(c, image=old[c.name]) if c.name in stuck else c)


def swapped(frame: Frame, severity: int) -> Frame:
    """Two topics changed places: each camera of a pair has the other's picture under its own calibration."""
    one, other = SWAPPED[severity - 1]
    pictures = {camera.name: camera.image for camera in frame.cameras}
    if missing := {one, other} - set(pictures):
        raise ValueError(f"cameras {sorted(missing)} are not in the frame; it has {', '.join(pictures)}")
    partner = {one: other, other: one}
    return _each(frame, lambda c: replace(c, image=pictures[partner.get(c.name, c.name)]))


def turned(frame: Frame, severity: int, rng: np.random.Generator) -> Frame:
    """Every camera was turned by the angle of the table, each about an axis of its own, and nobody was told."""
    return _each(frame, lambda c: _with_turn(c, np.radians(TURNED_DEG[severity - 1]) * _direction(rng)))


def moved(frame: Frame, severity: int, rng: np.random.Generator) -> Frame:
    """Every camera was moved by the length of the table, each its own way, and nobody was told."""

    def shifted(camera: Camera) -> Camera:
        told = camera.ego_T_camera.copy()
        told[:3, 3] += MOVED_M[severity - 1] * _direction(rng)
        return replace(camera, ego_T_camera=told)

    return _each(frame, shifted)


def _with_turn(camera: Camera, rotation_vector: np.ndarray) -> Camera:
    told = camera.ego_T_camera.copy()
    # Angles of a few degrees: the order of the three turns changes them by less than a tenth.
    told[:3, :3] = from_euler(*rotation_vector) @ told[:3, :3]
    return replace(camera, ego_T_camera=told)


def _direction(rng: np.random.Generator) -> np.ndarray:
    vector = rng.standard_normal(3)
    return vector / np.linalg.norm(vector)


def _each(frame: Frame, change: Callable[[Camera], Camera]) -> Frame:
    return replace(frame, cameras=tuple(change(camera) for camera in frame.cameras))
