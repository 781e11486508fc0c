# SPDX-License-Identifier: Apache-2.0
"""The guard against structural loss: operations, nodes of the graph, copies and memory of a frame. Never wall times."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import numpy as np
import pytest
import torch

from mapkd_core.bench.cost import operations
from mapkd_core.config import ModelConfig
from mapkd_core.data.image_codec import decode_compressed
from mapkd_core.data.prepare import prepare, reduced, reduction
from mapkd_core.models.build import build, plan
from mapkd_core.models.inference import Inference
from mapkd_core.models.onnx_graph import export
from mapkd_core.performance.budget import jpegs
from mapkd_core.performance.staged import Stage
from mapkd_core.types import Frame
from mapkd_core.worlds.rig import nuscenes_rig

MB = 1e6


@pytest.fixture(scope="module")
def given() -> tuple[np.ndarray, np.ndarray]:
    rig, config = nuscenes_rig(), ModelConfig()
    K, poses = np.stack([c.K for c in rig]), np.stack([c.ego_T_camera for c in rig])
    return np.zeros((6, 3, 128, 352), np.uint8), plan(config, K, poses, np.ones(6, bool))


def test_operations_of_the_shipped_shape(given):
    """As every runtime gets it: were it not rewritten for speed any more, it would be 8.2e9."""
    images, table = (torch.from_numpy(a)[None] for a in given)
    assert operations(Inference(build(ModelConfig())), images, table) <= 7.9e9


def test_nodes_of_the_graph(tmp_path, given):
    """The runtimes fuse most of them; what no runtime removes is counted apart."""
    onnx = pytest.importorskip("onnx")
    export(build(ModelConfig()).eval(), tmp_path / "s.onnx", 6, given[1])
    graph = onnx.load(str(tmp_path / "s.onnx")).graph
    counts = Counter(node.op_type for node in graph.node)
    assert counts["Conv"] <= 72 and counts["GridSample"] == 8 and counts["BatchNormalization"] == 0
    assert counts["Resize"] <= 4 and counts["DepthToSpace"] == 1
    on_maps = [n for n in graph.node if n.op_type == "Concat" and "query" not in n.name and "Shape" not in n.name]
    assert len(on_maps) <= 12, "feature maps are added, not concatenated: the few left join shapes"
    assert sum(counts.values()) - counts["Constant"] - counts["Identity"] <= 510


def test_memory_of_a_frame_from_jpegs():
    """Decoded at half the size: what the six pictures take together, the network's input, and little more."""
    cameras, config = nuscenes_rig(), ModelConfig()
    noise = np.random.default_rng(0).integers(0, 255, (90, 160, 3), np.uint8).repeat(10, 0).repeat(10, 1)
    frame = Frame(tuple(type(c)(c.name, noise, c.K, c.ego_T_camera, c.width, c.height) for c in cameras))
    data = jpegs(frame, 80)
    factor = reduction(1600, 900, config)

    def once() -> None:
        pictures = [decode_compressed("jpeg", d, reduce=factor) for d in data]
        prepare(Frame(tuple(reduced(c, i, factor) for c, i in zip(cameras, pictures))), config)

    once()
    tracemalloc.start()
    once()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    pictures, inputs = 6 * 3 * 800 * 450 / MB, 6 * 3 * 128 * 352 / MB
    assert factor == 2 and peak / MB <= pictures + 2 * inputs + 1


def test_allocations_and_copies_of_a_staged_frame(tiny):
    """Two inputs there, three answers back, and no buffer is made anew but the answers that are handed out."""
    rng = np.random.default_rng(0)
    rig = nuscenes_rig()[:2]
    K, poses = np.stack([c.K for c in rig]), np.stack([c.ego_T_camera for c in rig])
    inputs = rng.integers(0, 255, (2, 3, 64, 96), np.uint8), plan(tiny, K, poses, np.ones(2, bool))
    stage = Stage(Inference(build(tiny)).eval(), *inputs, torch.device("cpu"))
    stage(*inputs)
    places = [t.data_ptr() for t in (*stage._host, *stage._inputs, *stage._answers)]
    tracemalloc.start()
    answers = stage(*inputs)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert stage.copies == 5
    assert places == [t.data_ptr() for t in (*stage._host, *stage._inputs, *stage._answers)]
    assert held <= sum(a.nbytes for a in answers) + 20_000
