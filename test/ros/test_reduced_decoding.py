# SPDX-License-Identifier: Apache-2.0
"""Pictures that the node decodes smaller and brings to the network's size as they come: calibration follows."""

from __future__ import annotations

from array import array
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from mapkd_core.config import ModelConfig
from mapkd_core.data.device_pictures import OnDevice
from mapkd_core.data.image_codec import decode_compressed
from mapkd_core.data.prepare import fit_intrinsics, prepare
from mapkd_core.data.reduced import decode, reduction_for
from mapkd_core.data.tensor_images import TensorImage
from mapkd_ros.conversions import picture
from mapkd_ros.frame_set import FrameSet, Stamped
from mapkd_ros.frames import FrameAssembler
from mapkd_ros.map_inputs import MapInputs
from mapkd_ros.map_messages import header
from mapkd_ros.map_parameters import MapParameters
from mapkd_ros.odometry_track import OdometryTrack
from mapkd_ros.transforms import TransformBuffer

K = np.array([[1260.0, 0, 801], [0, 1250.0, 449], [0, 0, 1]])
NETWORK = ModelConfig()  # 352 pixels wide: 1600 may be quartered, 400 may not be halved


def jpeg(width: int, height: int, kind: str = ".jpg") -> CompressedImage:
    ramp = np.broadcast_to(np.linspace(20, 220, width).astype(np.uint8)[None, :, None], (height, width, 3))
    return CompressedImage(format="", data=array("B", cv2.imencode(kind, np.ascontiguousarray(ramp))[1].tobytes()))


def assembled(message, info_size, is_reduced, see=picture):
    """One camera's frame, or why it was rejected."""
    transforms = TransformBuffer()
    transforms.add("base_link", "front", 0, np.eye(4), is_static=True)
    payload = SimpleNamespace(header=header(1, "front"), message=message)
    frame_set = FrameSet(1, "FRONT", {"FRONT": Stamped(1, payload)}, {"FRONT": "ok"})
    info = CameraInfo(width=info_size[0], height=info_size[1], k=K.reshape(-1).tolist(), d=[0.0] * 5)
    reduction = reduction_for(NETWORK, is_reduced)
    assembler = FrameAssembler(transforms, OdometryTrack())
    result = assembler.assemble(frame_set, {"FRONT": info}, lambda p: see(p.message, reduction))
    return result.frame, result.rejected


def only_decoded(message, reduction):
    return decode(message.format, message.data, reduction)


def test_a_quartered_picture_has_a_quarter_of_the_calibration_and_the_network_sees_the_same():
    small, _ = assembled(jpeg(1600, 900), (1600, 900), True, only_decoded)
    full, _ = assembled(jpeg(1600, 900), (1600, 900), False, only_decoded)
    camera = small.cameras[0]
    assert (camera.width, camera.height, camera.image.shape) == (400, 225, (225, 400, 3))
    np.testing.assert_allclose(camera.K, [[315, 0, 199.875], [0, 312.5, 111.875], [0, 0, 1]])
    assert full.cameras[0].image.shape == (900, 1600, 3)
    np.testing.assert_allclose(full.cameras[0].K, K)
    np.testing.assert_allclose(fit_intrinsics(camera, NETWORK), fit_intrinsics(full.cameras[0], NETWORK), atol=1e-9)
    away = np.abs(prepare(small, NETWORK).images.astype(int) - prepare(full, NETWORK).images)
    assert away.max() <= 2


@pytest.mark.parametrize("is_reduced", [True, False])
def test_a_picture_that_is_fitted_as_it_comes_is_what_the_network_would_have_made_of_it(is_reduced):
    early, _ = assembled(jpeg(1600, 900), (1600, 900), is_reduced)
    late, _ = assembled(jpeg(1600, 900), (1600, 900), is_reduced, only_decoded)
    assert early.cameras[0].image.shape == (NETWORK.image_height, NETWORK.image_width, 3)
    ready, wanted = prepare(early, NETWORK), prepare(late, NETWORK)
    np.testing.assert_array_equal(ready.images, wanted.images)
    np.testing.assert_allclose(ready.K, wanted.K, atol=1e-9)


def test_a_calibration_of_the_whole_sensor_holds_for_a_binned_picture_that_is_then_decoded_smaller():
    """CameraInfo of 3200 pixels, pictures of 1600, decoded at 400: an eighth of K in all."""
    frame, rejected = assembled(jpeg(1600, 900), (3200, 1800), True, only_decoded)
    assert not rejected
    np.testing.assert_allclose(frame.cameras[0].K[0], [157.5, 0, 801.5 / 8 - 0.5])


@pytest.mark.parametrize("is_reduced", [True, False])
def test_a_calibration_of_another_size_is_refused_though_the_decoded_picture_has_it(is_reduced):
    frame, rejected = assembled(jpeg(1600, 900), (800, 450), is_reduced)
    assert not frame.cameras and "CameraInfo is for 800 x 450 pixels, the image has 1600 x 900" in rejected["FRONT"]


def test_png_and_raw_images_and_small_jpegs_are_scaled_once():
    raw = Image(width=1600, height=900, step=4800, encoding="rgb8", data=array("B", bytes(1600 * 900 * 3)))
    for message, size in ((jpeg(1600, 900, ".png"), (1600, 900)), (jpeg(400, 225), (400, 225)), (raw, (1600, 900))):
        found = picture(message, reduction_for(NETWORK))
        assert found.size == size and found.pixels.shape == (128, 352, 3)
        if message is not raw:
            assert decode(message.format, message.data, reduction_for(NETWORK)).factor == 1


def test_jpegs_that_a_device_decodes_stay_there_and_other_images_are_arrays():
    def decoded(jpegs):
        return [torch.from_numpy(decode_compressed("jpeg", d).transpose(2, 0, 1).copy()) for d in jpegs]

    on_device = OnDevice(NETWORK, "cpu", decoded)
    for kind, expected in ((".jpg", TensorImage), (".png", np.ndarray)):
        frame, _ = assembled(jpeg(1600, 900, kind), (1600, 900), False, lambda m, _: picture(m, on_device))
        plain, _ = assembled(jpeg(1600, 900, kind), (1600, 900), False)
        assert isinstance(frame.cameras[0].image, expected) and frame.cameras[0].image.shape == (128, 352, 3)
        assert np.abs(frame.cameras[0].pixels.astype(int) - plain.cameras[0].image).max() <= 1
        np.testing.assert_allclose(frame.cameras[0].K, plain.cameras[0].K)


def test_where_no_network_is_known_pictures_stay_as_they_are():
    assert picture(jpeg(1600, 900)).pixels.shape == (900, 1600, 3)


def test_what_arrives_is_decoded_in_the_pool_at_the_size_that_the_network_wants(bench):
    inputs = MapInputs(bench, MapParameters(), lambda *_: None, reduction_for(NETWORK))
    try:
        heard = []
        camera = inputs.cameras["CAM_FRONT"]
        camera.registerCallback(heard.append)
        camera._on_image(jpeg(1600, 900), "cam_front/image/compressed")
        assert heard[0].picture().pixels.shape == (128, 352, 3) and heard[0].picture().size == (1600, 900)
        assert isinstance(inputs._decoders, ThreadPoolExecutor)
    finally:
        inputs.close()
