# SPDX-License-Identifier: Apache-2.0
"""The guard of what runs on a CPU: what a frame copies and allocates from JPEG bytes to its map. It sees no clock."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from counting import Allocations, TorchCopies

from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import reduction
from mapkd_core.geometry import planar
from mapkd_core.mapper import Mapper
from mapkd_core.models.build import build, plan
from mapkd_core.models.inference import Inference
from mapkd_core.performance import ways
from mapkd_core.performance.budget import jpegs
from mapkd_core.performance.pipeline import JpegPipeline
from mapkd_core.performance.staged import Stage
from mapkd_core.types import Frame
from mapkd_core.worlds.rig import nuscenes_rig

RIG = nuscenes_rig()
SLACK = 60_000  # bytes: small objects beside the arrays; less than half of any of them
DECODED = 400 * 225 * 3  # one picture of 1600 x 900 at a quarter of its size
FITTED = 352 * 132 * 3  # the rows of it that scaling to the network's size looks at, at most
INPUT = 6 * 3 * 128 * 352
CELLS = 200 * 400
READ = 4 * 50 * 20 * 64  # features at the points of all queries


@pytest.fixture(scope="module", params=["torch", "onnx", "openvino-int8"])
def mapper(request: pytest.FixtureRequest) -> Mapper:
    """What a frame takes must not depend on the way; the last is the one that is taken where it is installed."""
    if absent := ways.missing(request.param):
        pytest.skip(f"not installed: {', '.join(absent)}")
    return Mapper(None, request.param, "cpu", threads=1)


@pytest.fixture
def handed_out(request: pytest.FixtureRequest) -> int:
    """Arrays that the runtime copies for its caller: OpenVINO's the raster, whose own is the next frame's."""
    return int(request.node.callspec.params["mapper"].startswith("openvino"))


@pytest.fixture(scope="module")
def data() -> list[bytes]:
    noise = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8).repeat(10, 0).repeat(10, 1)
    return jpegs(Frame(tuple(replace(camera, image=noise) for camera in RIG)), 80)


def moved(metres: float) -> list:
    return [replace(camera, ego_T_camera=planar(metres, 0, 0) @ camera.ego_T_camera) for camera in RIG]


def test_a_picture_is_decoded_once_and_scaled_once(mapper, data):
    """Each on its own: six JPEGs never lie decoded side by side where one thread decodes them."""
    assert reduction(1600, 900, mapper.config) == 4
    JpegPipeline(mapper, RIG, threads=1).frame(data)
    pipeline = JpegPipeline(mapper, RIG, threads=1)  # its thread begins inside
    with Allocations() as taken:
        frame = pipeline.frame(data)
    assert all(camera.image.shape == (128, 352, 3) for camera in frame.cameras)
    assert len(taken.found) <= 12 and taken.total <= 6 * (DECODED + FITTED) + SLACK, str(taken)
    assert taken.peak <= DECODED + 6 * FITTED + SLACK, str(taken)


def test_a_map_takes_the_networks_input_once_and_a_table_for_where_the_cameras_are(mapper, data, handed_out):
    """What the runtime takes within itself is not seen here."""
    pipeline = JpegPipeline(mapper, RIG, threads=1)
    here, there = (pipeline.frame(data, cameras=moved(metres)) for metres in (0.0, 0.001))
    mapper.predict(here)
    with Allocations() as still:
        mapper.predict(here)
    most = INPUT + CELLS + handed_out * 3 * CELLS + SLACK  # and the cells that are seen
    assert len(still.found) <= 2 + handed_out and still.total <= most, str(still)
    with Allocations() as moving:
        mapper.predict(there)
    table = 2 * 4 * CELLS // 4  # x y in single precision of a quarter of the cells
    assert len(moving.found) <= len(still.found) + 24 and moving.total <= still.total + 22 * table, str(moving)
    assert moving.peak <= INPUT + 7 * table, str(moving)


def test_the_whole_way_takes_what_its_two_halves_take(mapper, data, handed_out):
    pipeline = JpegPipeline(mapper, RIG, threads=1)
    mapper.predict(pipeline.frame(data))
    pipeline = JpegPipeline(mapper, RIG, threads=1)
    with Allocations() as taken:
        pipeline(data)
    halves = 6 * (DECODED + FITTED) + INPUT + CELLS + handed_out * 3 * CELLS
    assert len(taken.found) <= 14 + handed_out and taken.total <= halves + SLACK, str(taken)


def test_pytorch_converts_pictures_table_and_answer_and_copies_nothing_else(data):
    """Bytes to single precision, what of the table is seen, what each round of queries read, and the raster back to
    bytes: that is computing, too.
    """
    mapper = Mapper(None, "torch", "cpu", threads=1)
    frame = JpegPipeline(mapper, RIG, threads=1).frame(data)
    mapper.predict(frame)
    with TorchCopies() as copies:
        mapper.predict(frame)
    wanted = sorted([4 * INPUT, CELLS, 3 * CELLS] + 3 * [READ])
    assert sorted(large.size for large in copies.found) == wanted, str(copies)
    assert copies.made <= 146e6, f"{copies.made / 1e6:.1f} MB made by operations"


def test_a_staged_frame_goes_there_twice_and_back_thrice():
    """Beside what the network copies by itself; no buffer is made anew but the answers that are handed out."""
    K, poses = np.stack([c.K for c in RIG]), np.stack([c.ego_T_camera for c in RIG])
    pictures, config = np.zeros((6, 3, 128, 352), np.uint8), ModelConfig()
    inputs = pictures, plan(config, K, poses, np.ones(6, bool))
    network = Inference(build(config)).eval()
    stage = Stage(network, *inputs, torch.device("cpu"))
    stage(*inputs)
    with TorchCopies(0) as alone, torch.inference_mode():
        network(*(torch.from_numpy(array)[None] for array in inputs))
    with TorchCopies(0) as staged:
        stage(*inputs)
    assert len(staged.found) == len(alone.found) + 5, str(staged)
    assert staged.made == alone.made
    with Allocations() as taken:
        stage(*inputs)
    assert len(taken.found) == 1 and taken.total <= 3 * CELLS + SLACK, str(taken)  # the raster; the rest is small
