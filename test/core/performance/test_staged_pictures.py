# SPDX-License-Identifier: Apache-2.0
"""Pictures stay on the device from the decoder to the captured graph; CPU tensors that refuse to come down stand in."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from mapkd_core.bags.write import encode_jpeg
from mapkd_core.data import device_pictures
from mapkd_core.data.device_pictures import OnDevice
from mapkd_core.data.image_codec import decode_compressed
from mapkd_core.data.prepare import prepare
from mapkd_core.data.reduced import decode, fitted
from mapkd_core.mapper import Mapper, padded
from mapkd_core.models.build import build
from mapkd_core.models.inference import Inference
from mapkd_core.performance.pipeline import JpegPipeline
from mapkd_core.performance.staged import Stage
from mapkd_core.training.checkpoint import load_weights, save_weights
from mapkd_core.types import Frame
from mapkd_core.worlds.rig import nuscenes_rig, scaled

CAMERAS = scaled(nuscenes_rig()[:3], 400, 225)


class OnGpu(torch.Tensor):
    """What is made of it is one, too; only `copy_` into another tensor gets its values out, as on the device."""

    def _refuse(self, *args, **kwargs):
        raise AssertionError("a picture came down to the host")

    cpu = numpy = tolist = item = __array__ = _refuse


def decoder(kind):
    def decoded(jpegs):
        pictures = [torch.from_numpy(decode_compressed("jpeg", d).transpose(2, 0, 1).copy()) for d in jpegs]
        return [picture.as_subclass(kind) for picture in pictures]

    return decoded


def noise(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 255, (30, 50, 3), np.uint8), (400, 225))


@pytest.fixture(scope="module")
def weights(tmp_path_factory, tiny):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(path, build(tiny).state_dict(), tiny, {"vectors": "query", "min_confidence": 0.0})
    return path


class Staged(Mapper):
    """Its network runs as on a GPU. stage: tells how often the last frame crossed between host and device."""

    def __init__(self, weights):
        super().__init__(weights, "torch", "cpu")
        self.device, self.stage, self._network = "cuda", None, Inference(load_weights(weights)[0]).eval()
        self._run = self._staged

    def _staged(self, images, plan):
        if self.stage is None:
            self.stage = Stage(self._network, images, plan, torch.device("cpu"))
        return self.stage(images, plan)


@pytest.fixture
def staged(weights) -> Staged:
    return Staged(weights)


@pytest.fixture
def host(weights) -> Mapper:
    return Mapper(weights, "torch", "cpu")


def frames(tiny, seeds, png=()) -> tuple[Frame, Frame]:
    """The same pictures on the device and on the host; None as seed: no picture. png: places of host pictures."""
    there, here = OnDevice(tiny, "cpu", decoder(OnGpu)), OnDevice(tiny, "cpu", decoder(torch.Tensor))
    cameras = [], []
    for place, (camera, seed) in enumerate(zip(CAMERAS, seeds)):
        for reduction, found in zip((there, here), cameras):
            if seed is None:
                found.append(replace(camera, image=None))
                continue
            data = encode_jpeg(noise(seed))
            if place in png:
                data = cv2.imencode(".png", noise(seed)[..., ::-1])[1].tobytes()
            picture = fitted(decode("", data, reduction), reduction)
            found.append(picture.of(replace(camera, image=None)))
    return Frame(tuple(cameras[0])), Frame(tuple(replace(c, image=c.pixels) for c in cameras[1]))


def same(found, expected):
    np.testing.assert_array_equal(found.observed, expected.observed)
    assert found.valid_cameras == expected.valid_cameras and len(found.elements) == len(expected.elements) > 0
    assert np.abs(found.probability.astype(int) - expected.probability).max() <= 1
    for a, b in zip(found.elements, expected.elements):
        np.testing.assert_allclose(a.vertices_m, b.vertices_m, atol=1e-4)


@pytest.mark.parametrize(
    ("seeds", "png", "copies"),
    [((0, 1, 2), (), 4), ((0, 1, 2), (1,), 5), ((0, None, 2), (), 4), ((0, None, 2), (2,), 5), ((0, 1), (), 4)],
    ids=["all", "a PNG on the host", "one missing", "a PNG and one missing", "one fewer than before"],
)
def test_the_map_is_that_of_the_host_and_nothing_comes_down(tiny, staged, host, seeds, png, copies):
    """Up: the plan and what was on the host; down: three answers. The frame before leaves nothing behind."""
    for mapper, frame in zip((staged, host), frames(tiny, (7, 8, 9))):
        mapper.predict(frame)
    stage = staged.stage
    places = [t.data_ptr() for t in stage._inputs]
    on_device, on_host = frames(tiny, seeds, png)
    same(staged.predict(on_device), host.predict(on_host))
    np.testing.assert_array_equal(stage._inputs[0][0].numpy(), padded(prepare(on_host, tiny), 3).images)
    assert staged.stage is stage and stage.copies == copies
    assert places == [t.data_ptr() for t in stage._inputs], "the graph reads where it was captured"


def test_jpegs_of_a_pipeline_stay(tiny, staged, host, monkeypatch):
    kinds = iter([OnGpu, torch.Tensor])
    jpegs, maps = [encode_jpeg(noise(seed)) for seed in range(3)], []
    for mapper in (staged, host):
        on_device = OnDevice(tiny, "cuda", decoder(next(kinds)))
        monkeypatch.setattr(device_pictures, "on_device", lambda config, device, found=on_device: found)
        monkeypatch.setattr(mapper, "device", "cuda")
        maps.append(JpegPipeline(mapper, CAMERAS, 1)(jpegs))
    same(*maps)  # the second is eager PyTorch's, which stacks them
    assert staged.stage.copies == 4 and staged.stage._inputs[0].float().std() > 10


@pytest.mark.gpu
def test_on_a_gpu_the_host_waits_for_the_answers_alone(weights, tiny):
    """PyTorch refuses every other wait."""
    if not torch.cuda.is_available() or device_pictures.on_device(tiny, "cuda") is None:
        pytest.skip("no GPU with TorchCodec here")
    mapper, host = Mapper(weights, "auto", "cuda"), Mapper(weights, "torch", "cpu")
    for seed in (0, 10):  # the first captures
        pictures = device_pictures.on_device(tiny, "cuda").pictures([encode_jpeg(noise(seed + i)) for i in range(3)])
        frame = Frame(tuple(p.of(c) for p, c in zip(pictures, CAMERAS)))
        torch.cuda.set_sync_debug_mode("error" if seed else "default")
        try:
            found = mapper.predict(frame)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert np.abs(found.probability.astype(int) - host.predict(frame).probability).max() <= 3
