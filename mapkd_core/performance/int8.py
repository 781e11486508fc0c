# SPDX-License-Identifier: Apache-2.0
"""Convolutions in int8: static quantisation by ONNX Runtime.

Weights per channel, activations per tensor, as pairs of QuantizeLinear and DequantizeLinear. ONNX Runtime and OpenVINO
read them alike, TensorRT with limits (`quantise`). Look-ups, the query head and all else stay in single precision.

A ReLU between two convolutions becomes part of what the first one rounds to, whose byte 0 is zero: rounding before it,
too, would spend half of the steps on what it throws away, and cost a pass over memory.

Weights take 7 of the 8 bits. Processors without dot products of bytes (x86 before VNNI) add two products in 16 bits,
which stay at 32767 where they would be more: 255 * 64 twice is less, 255 * 127 twice is not. With all 8 bits the
shipped network lost 1.8 points of mIoU there, and 0.03 where there are; with 7 bits 0.06 to 0.07 there, as anywhere.

What values activations take is calibrated on rendered frames, about a minute, or stands in the card of the weights:
then the graph is there in seconds, and is the one that was scored.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapkd_core.config import ModelConfig
from mapkd_core.models.build import plan as plan_of
from mapkd_core.models.inference import Runner
from mapkd_core.models.map_model import MapModel
from mapkd_core.models.onnx_graph import GRAPH, exported, kept, session, takes_any_number
from mapkd_core.performance import openvino_runtime
from mapkd_core.performance.int8_scales import SCALES, Scales, as_options, other_relus
from mapkd_core.writing import aside

CALIBRATION_FRAMES, CHECKING_FRAMES = 24, 4
_FIRST_SEED = 980_001  # of the worlds: neither training, validation nor test uses these
_FOR_TENSORRT = {
    "ActivationSymmetric": True, "QuantizeBias": False, "AddQDQPairToWeight": True, "DedicatedQDQPair": True,
    "OpTypesToExcludeOutputQuantization": ["Conv"],
}  # fmt: skip


def onnx_runner(model: MapModel, card: Mapping[str, Any], threads: int | None = None) -> Runner:
    """ONNX Runtime; raises ImportError where onnx or onnxruntime is not installed."""
    sessions: dict[int, object] = {}

    def run(images: NDArray, plan: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        number = 0 if takes_any_number(model) else len(images)
        if number not in sessions:
            sessions[number] = session(quantised(model, card, images, plan), threads)
        probability, scores, points = sessions[number].run(None, inputs((images, plan)))  # type: ignore[attr-defined]
        return probability[0], scores[0], points[0]

    return run


def openvino_runner(model: MapModel, card: Mapping[str, Any], threads: int | None = None) -> Runner:
    """OpenVINO; raises ImportError where it is not installed."""
    return openvino_runtime.graph_runner(lambda i, p: quantised(model, card, i, p), threads, "f32")


def quantised(model: MapModel, card: Mapping[str, Any], images: NDArray, plan: NDArray) -> bytes:
    """The quantised graph from the user's cache; made by the card's scales, or in about a minute where it has none.

    Raises ValueError where the card's scales are of another graph.
    """
    digest, scales = card["sha256"], card.get(SCALES)
    number = "any" if takes_any_number(model) else len(images)
    of = f"-{hashlib.sha256(json.dumps(scales, sort_keys=True).encode()).hexdigest()[:8]}" if scales else ""

    def write(path: Path) -> None:
        frames = calibration_frames(model.config) if number == "any" and not scales else [(images, plan)]
        quantise(exported(model, digest, len(images), plan), path, map(inputs, frames), scales=scales)

    return kept(f"{digest[:16]}-{number}-v{GRAPH}-int8w7r{of}.onnx", write)


def inputs(frame: tuple[NDArray, NDArray]) -> dict[str, NDArray]:
    """What the exported network gets: images N 3 H W uint8 and the plan, by name and with a batch's dimension."""
    images, plan = frame
    return {"images": np.ascontiguousarray(images)[None], "plan": plan[None]}


def quantise(
    graph: bytes,
    path: Path,
    seen: Iterable[Mapping[str, NDArray]],
    symmetric: bool = False,
    scales: Scales | None = None,
) -> None:
    """Write the int8 graph, aside and renamed. seen: inputs by name, which show what activations look like.

    symmetric: as TensorRT imports it: signed bytes around zero, biases left alone (they would be int32), weights in
    single precision with a pair of their own, and pairs only before convolutions, one for each.
    scales: of every activation by name, its step and the byte that means zero, instead of what `seen` shows. Raises
    ValueError where they are not those of this graph.
    """
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, aside(path) as unfinished:
        plain, ready = Path(folder) / "plain.onnx", Path(folder) / "ready.onnx"
        plain.write_bytes(graph)
        quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
        quantization.quantize_static(
            str(ready), str(unfinished), _Reader(iter(seen)), quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"] if symmetric else ["Conv", "Relu"],
            nodes_to_exclude=[] if symmetric else other_relus(ready), per_channel=True,
            activation_type=quantization.QuantType.QInt8 if symmetric else quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8, reduce_range=not symmetric,
            extra_options=(_FOR_TENSORRT if symmetric else {}) | as_options(scales, ready),
        )  # fmt: skip


def calibration_frames(config: ModelConfig) -> Iterator[tuple[NDArray, NDArray]]:
    """images N 3 H W and plan of rendered frames, a world each, at the network's size."""
    return _rendered(config, range(_FIRST_SEED, _FIRST_SEED + CALIBRATION_FRAMES))


def checking_frames(config: ModelConfig) -> Iterator[tuple[NDArray, NDArray]]:
    """As `calibration_frames`, of other worlds."""
    first = _FIRST_SEED + CALIBRATION_FRAMES
    return _rendered(config, range(first, first + CHECKING_FRAMES))


def _rendered(config: ModelConfig, seeds: Iterable[int]) -> Iterator[tuple[NDArray, NDArray]]:
    from mapkd_core.data.prepare import model_camera, prepare
    from mapkd_core.worlds import procedural
    from mapkd_core.worlds.render import Renderer
    from mapkd_core.worlds.rig import nuscenes_rig

    cameras = tuple(model_camera(camera, config) for camera in nuscenes_rig())
    for seed in seeds:
        prepared = prepare(Renderer(procedural.make_road_map(seed), seed).frame(3.0, cameras), config)
        yield prepared.images, plan_of(config, prepared.K, prepared.ego_T_camera, prepared.valid)


class _Reader:
    """onnxruntime.quantization.CalibrationDataReader."""

    def __init__(self, seen: Iterator[Mapping[str, NDArray]]) -> None:
        self._seen = seen

    def get_next(self) -> dict[str, NDArray] | None:
        found = next(self._seen, None)
        return None if found is None else dict(found)
