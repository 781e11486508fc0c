# SPDX-License-Identifier: Apache-2.0
"""Does a camera's mount fit its name and its messages? Swapped topics and frames of the wrong convention show here.

What cannot be seen here: a driver that swaps the images of two cameras together with their frame ids.
"""

from __future__ import annotations

import re

import numpy as np

from mapkd_core.geometry import Matrix

# Words of a camera's name -> the side its optical axis points to, in the ego frame (x forward, y left).
_SIDES = {
    "front": (1, 0),
    "forward": (1, 0),
    "back": (-1, 0),
    "rear": (-1, 0),
    "left": (0, 1),
    "right": (0, -1),
}
# Cosines. A camera named after one side looks within 50 degrees of it. One named after two looks to neither's opposite:
# the left camera of a stereo pair looks straight ahead, a back left one may look a little forward.
_ONE_SIDE, _TWO_SIDES = np.cos(np.radians(50)), -0.25
_STEEPEST = np.sin(np.radians(45))


def doubt(name: str, ego_T_camera: Matrix, image_frame: str, info_frame: str) -> str:
    """What does not fit, with the remedy; empty where all does.

    name: as in cameras.names. image_frame, info_frame: of the headers; empty = not known.
    """
    if image_frame and info_frame and image_frame.lstrip("/") != info_frame.lstrip("/"):
        return (
            f"its images are of {image_frame}, its CameraInfo of {info_frame}: are the topics of two cameras swapped?"
        )
    axis = ego_T_camera[:3, 2]
    if axis[2] > _STEEPEST:
        degrees = np.degrees(np.arcsin(min(axis[2], 1.0)))
        return f"looks {degrees:.0f} degrees up: the frame must be the optical one (z forward, x right, y down)"
    words = [word for word in re.split(r"[^a-z]+", name.lower()) if word in _SIDES]
    for word in words:
        if float(axis[:2] @ _SIDES[word]) < (_ONE_SIDE if len(words) == 1 else _TWO_SIDES):
            degrees = np.degrees(np.arctan2(axis[1], axis[0]))
            return f"is a {word} camera by its name, but looks to {degrees:.0f} degrees (left is 90): topics swapped?"
    if ego_T_camera[2, 3] <= 0:
        return f"is {ego_T_camera[2, 3]:.2f} m over the ground: publish its mount, with z = 0 of the base on the ground"
    return ""
