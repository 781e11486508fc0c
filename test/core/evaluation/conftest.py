# SPDX-License-Identifier: Apache-2.0
"""Small drives in bags, and weights small enough to map them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mapkd_core.bags.write import BagWriter
from mapkd_core.models.build import build
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.types import Frame

START_NS, PERIOD_NS = 10**18, 10**8


@pytest.fixture(scope="session")
def weights(tmp_path_factory, tiny):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    torch.manual_seed(0)
    state = build(tiny).state_dict()
    state["raster.out.bias"] *= 0.0  # a fresh head says background everywhere
    state["raster.out.weight"] *= 20.0
    save_weights(path, state, tiny, {"vectors": "query", "min_confidence": 0.0})
    return path


@pytest.fixture(scope="session")
def bags(tmp_path_factory, rig, make_sample):
    """Three drives of 3, 2 and 1 frames with truth, and one without, of pictures four times the network's size."""
    folder, shift = tmp_path_factory.mktemp("bags"), 0.0
    for name, count in (("a", 3), ("b", 2), ("c", 1)):
        with BagWriter(folder / f"{name}.mcap") as writer:
            for number in range(count):
                shift += 0.1
                sample = make_sample(shift)
                frame = Frame(tuple(map(enlarged, rig, sample.prepared.images)), START_NS + number * PERIOD_NS)
                writer.add(frame, sample.elements)
            writer.add(replace(frame, stamp_ns=START_NS + 10**9))
    return [folder / f"{name}.mcap" for name in "abc"]


def enlarged(camera, image):
    K = camera.K.copy()
    K[:2, 2] = (K[:2, 2] + 0.5) * 4 - 0.5
    K[0, 0], K[1, 1] = 4 * K[0, 0], 4 * K[1, 1]
    pixels = image.transpose(1, 2, 0).repeat(4, 0).repeat(4, 1)
    return replace(camera, image=pixels, K=K, width=4 * camera.width, height=4 * camera.height)
