# SPDX-License-Identifier: Apache-2.0
"""The guard of the node's borders: what an image on its way in and a map on its way out allocate. It sees no clock."""

from __future__ import annotations

from array import array
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from counting import Allocations
from mapkd.msg import InputStatus
from rig import image_topic
from sensor_msgs.msg import CompressedImage, Image

from mapkd_core.config import ModelConfig
from mapkd_core.data.reduced import reduction_for
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, LocalMap, MapElement
from mapkd_ros import qos
from mapkd_ros.camera_input import CameraInput
from mapkd_ros.conversions import image_array, picture
from mapkd_ros.map_messages import header, semantic_map, vector_map

REDUCTION = reduction_for(ModelConfig())
SLACK = 40_000  # bytes: small objects beside the arrays
DECODED = 400 * 225 * 3  # a picture of 1600 x 900 at a quarter of its size
FITTED = 352 * 132 * 3  # the rows of it that scaling to the network's size looks at, at most
CELLS = 200 * 400
NOISE = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8).repeat(10, 0).repeat(10, 1)


def compressed() -> CompressedImage:
    return CompressedImage(format="jpeg", data=array("B", cv2.imencode(".jpg", NOISE)[1].tobytes()))


def raw(encoding: str) -> Image:
    return Image(width=1600, height=900, step=4800, encoding=encoding, data=array("B", NOISE.tobytes()))


def test_a_jpeg_is_decoded_once_and_scaled_once():
    message = compressed()
    picture(message, REDUCTION)
    with Allocations() as taken:
        found = picture(message, REDUCTION)
    assert found.pixels.shape == (128, 352, 3)
    assert len(taken.found) <= 2 and taken.total <= DECODED + FITTED + SLACK, str(taken)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_a_raw_image_is_looked_at_where_it_lies(encoding):
    message = raw(encoding)
    picture(message, REDUCTION)
    with Allocations() as whole:
        image_array(message)
    assert not whole.found, str(whole)
    with Allocations() as taken:
        found = picture(message, REDUCTION)
    order = slice(None, None, -1 if encoding == "bgr8" else 1)
    np.testing.assert_array_equal(found.pixels[..., order], picture(raw("rgb8"), REDUCTION).pixels)
    assert len(taken.found) <= 1 and taken.total <= FITTED + SLACK, str(taken)


def test_an_image_from_the_middleware_takes_its_bytes_and_its_picture(bench):
    """From its publication to the picture in the frame. rclpy takes the bytes twice to make the message."""
    images = []
    with ThreadPoolExecutor(1) as pool:
        camera = CameraInput(bench, "CAM_FRONT", "compressed", qos.images("reliable", 5), pool, REDUCTION)
        camera.registerCallback(images.append)
        topic, message = image_topic("CAM_FRONT", "compressed"), compressed()
        bench.offer(CompressedImage, topic)
        bench.meet()
        with Allocations() as taken:  # the pool's thread begins inside
            bench.send(CompressedImage, topic, message)
            assert bench.until(lambda: images)
            found = images[0].picture()
        camera.close()
    assert found.pixels.shape == (128, 352, 3)
    assert len(taken.found) <= 3 and taken.total <= 2.1 * len(message.data) + DECODED + FITTED + SLACK, str(taken)


@pytest.fixture(scope="module")
def full_map() -> LocalMap:
    """As large as they come: 50 polylines of 20 points, three full layers."""
    rng = np.random.default_rng(0)
    lines = [MapElement(CLASSES[i % 3], rng.uniform(-15, 15, (20, 2)), i % 3 == 1, 0.5) for i in range(50)]
    probability = rng.integers(0, 256, (3, 200, 400), np.uint8)
    return LocalMap(BevGrid(), tuple(lines), CLASSES, probability, rng.random((200, 400)) > 0.5, 10**18)


def test_the_rasters_of_a_map_are_copied_once_into_their_message(full_map):
    head, status = header(10**18, "base_link"), InputStatus()
    semantic_map(full_map, head, status)
    with Allocations() as taken:
        message = semantic_map(full_map, head, status)
    assert len(message.data) == 3 * CELLS and len(message.observed) == CELLS
    assert len(taken.found) <= 2 and taken.total <= 1.1 * 4 * CELLS + SLACK, str(taken)


def test_the_points_of_a_map_are_made_once(full_map):
    """An object and three numbers a point; lists of a polyline are gone before the next one is made."""
    head, status = header(10**18, "base_link"), InputStatus()
    vector_map(full_map, head, status, "m@1")
    with Allocations() as taken:
        vector_map(full_map, head, status, "m@1")
    assert taken.peak <= 50 * 20 * 160, f"{taken.peak} bytes"
