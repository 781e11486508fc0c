# SPDX-License-Identifier: Apache-2.0
"""The guard of the network: its operations, and the nodes of its graph. Copies and memory are in `test_copies`."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from mapkd_core.bench.cost import operations
from mapkd_core.config import ModelConfig
from mapkd_core.mapper import SHIPPED
from mapkd_core.models.build import build, plan
from mapkd_core.models.inference import Inference
from mapkd_core.models.onnx_graph import export
from mapkd_core.performance import int8
from mapkd_core.training.checkpoint import load_weights
from mapkd_core.worlds.rig import nuscenes_rig


@pytest.fixture(scope="module")
def given() -> tuple[np.ndarray, np.ndarray]:
    rig, config = nuscenes_rig(), ModelConfig()
    K, poses = np.stack([c.K for c in rig]), np.stack([c.ego_T_camera for c in rig])
    return np.zeros((6, 3, 128, 352), np.uint8), plan(config, K, poses, np.ones(6, bool))


def test_operations_of_the_shipped_shape(given):
    """As every runtime gets it: were it not rewritten for speed any more, it would be 8.1e9."""
    images, table = (torch.from_numpy(a)[None] for a in given)
    assert operations(Inference(build(ModelConfig())), images, table) <= 7.86e9


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


def test_every_convolution_of_the_shipped_graph_is_one_of_bytes(given, tmp_path, monkeypatch):
    """A single one that fell back to single precision would answer alike and show in no other test."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model, card = load_weights(SHIPPED)
    graph = onnx.load_from_string(int8.quantised(model, card, *given)).graph
    made_by = {name: node.op_type for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 72
    assert {made_by.get(name) for node in convolutions for name in node.input[:2]} == {"DequantizeLinear"}
