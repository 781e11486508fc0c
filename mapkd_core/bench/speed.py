# SPDX-License-Identifier: Apache-2.0
"""Speed of the student beside networks of its peers' shapes, in one run, and of every stage of a prediction.

All networks get the same pictures, threads and process, in turns. Ratios and shares of the measured ceilings carry
over to other machines; milliseconds do not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from mapkd_core.bench import cost, machine, peers
from mapkd_core.bench.stages import rendered_frame, stage_times
from mapkd_core.bench.timing import interleaved, spread, torch_threads
from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import Prepared, prepare
from mapkd_core.mapper import SHIPPED, Mapper
from mapkd_core.models.build import build, plan
from mapkd_core.models.inference import make_runner
from mapkd_core.models.map_model import MapModel
from mapkd_core.performance import choice, ways
from mapkd_core.training.checkpoint import load_weights, save_weights

SCHEMA = 1
EAGER, FASTEST = "student, eager PyTorch fp32", "student, ONNX Runtime fp32"
NODE = "student, as the node runs it"  # `backend: auto`
_OF_FLOOR = ("floor_ms", "share_of_floor")
_ROWS = {"eager": EAGER, "fastest": FASTEST, "node": NODE}


def run(
    weights: Path | None = None, repeats: int = 10, threads: int | None = None, stages: bool = True
) -> dict[str, Any]:
    """Measure; JSON-ready. Half a minute for ten repeats on two idle cores.

    weights: a student; None takes the shipped one, and a random one where none ships (said under `weights`).
    threads: of both runtimes; None takes all cores, at most 4. stages: also time Mapper.predict on 1600 x 900 pictures.
    """
    count = threads or min(4, os.cpu_count() or 1)
    before = machine.load()
    with TemporaryDirectory() as folder, torch_threads(count):
        path, origin = _student(weights, Path(folder))
        model, card = load_weights(path)
        frame = rendered_frame()
        prepared = prepare(frame, model.config)
        ceilings = machine.ceilings()
        counted, times = _forward(model, card, prepared, repeats, count)
        runtime = choice.taken("auto", card["sha256"], count)
        steps = stage_times(Mapper(path, threads=count), frame, 3 * repeats) if stages else {}
    after = machine.load()
    is_shared = max(before, after) > count + 0.5
    note = "(other processes were running: milliseconds are upper bounds, ratios are rough)" if is_shared else ""
    forward = {name: _judged(ms, counted[_network(name)], ceilings) for name, ms in times.items()}
    if runtime not in ways.WAYS or ways.WAYS[runtime].precision != "fp32":  # the ceiling is
        forward[NODE] = {key: value for key, value in forward[NODE].items() if key not in _OF_FLOOR}
    return {
        "schema": SCHEMA,
        "machine": machine.describe(count)
        | {"load_before": before, "load_after": after, "shared": is_shared, "note": note},
        "weights": origin,
        "cameras": len(frame.cameras),
        "picture": [model.config.image_height, model.config.image_width],
        "canvas": list(model.config.grid.shape),
        "networks": counted,
        "ceilings": ceilings,
        "forward_ms": forward,
        "node_runtime": runtime,
        "ratios": _ratios(forward),
        "predict_ms": steps,
    }


def _student(weights: Path | None, folder: Path) -> tuple[Path, str]:
    """The weights to measure and where they come from."""
    path = weights or SHIPPED
    if weights is not None or path.is_file():
        return path, str(path) if weights is not None else "shipped"
    torch.manual_seed(0)
    model = build(ModelConfig())
    save_weights(folder / "random.safetensors", model.state_dict(), model.config, {"vectors": "query"})
    return folder / "random.safetensors", "random: no weights ship with this installation, so predictions mean nothing"


def _forward(
    model: MapModel, card: Mapping[str, Any], prepared: Prepared, repeats: int, threads: int
) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Counted costs and measured milliseconds of each network on one frame."""
    table = plan(model.config, prepared.K, prepared.ego_T_camera, prepared.valid)
    images = torch.from_numpy(prepared.images)[None]
    K, ego_T_camera = (torch.from_numpy(m).float()[None] for m in (prepared.K, prepared.ego_T_camera))
    others = peers.peers(model.config, images, K, ego_T_camera)
    counted = {"student": cost.student_cost(model, images, torch.from_numpy(table)[None])}
    counted |= {peer.key: peer.cost for peer in others.values()}
    backends = {EAGER: "torch", NODE: "auto"}
    if machine.describe(threads)["onnxruntime"] is not None:
        backends[FASTEST] = "onnx"
    runners = {name: make_runner(model, backend, "cpu", card, threads) for name, backend in backends.items()}
    calls: dict[str, Callable[[], object]] = {
        name: (lambda runner=runner: runner(prepared.images, table))  # type: ignore[misc]
        for name, runner in runners.items()
    }
    return counted, interleaved(calls | {name: peer.run for name, peer in others.items()}, repeats)


def _network(row: str) -> str:
    """Whose row it is, as in the counted costs."""
    return {peers.HDMAPNET: "hdmapnet_shape", peers.MAPKD: "mapkd_student_shape"}.get(row, "student")


def _judged(times_ms: list[float], network: dict[str, Any], ceilings: dict[str, float]) -> dict[str, float]:
    """The times of one network, its operations a second, and how near that is to the machine's convolution ceiling."""
    result = spread(times_ms)
    floor_ms = network["gflop"] / ceilings["conv_gflops"] * 1e3
    if "moved_mb" in network:
        floor_ms = max(floor_ms, network["moved_mb"] / ceilings["bandwidth_gbs"])
    return result | {
        "gflops": round(network["gflop"] / result["median"] * 1e3, 1),
        "floor_ms": round(floor_ms, 2),
        "share_of_floor": round(floor_ms / result["median"], 3),
    }


def _ratios(forward: dict[str, dict[str, float]]) -> dict[str, float]:
    """How many times as long a peer's shape takes: by medians, and by the least disturbed rounds (p10).

    eager, fastest, node: HDMapNet's over the student's rows; mapkd_eager and so on: MapKD's student's over them.
    """
    return {
        prefix + key + suffix: round(forward[peer][figure] / forward[name][figure], 1)
        for prefix, peer in (("", peers.HDMAPNET), ("mapkd_", peers.MAPKD))
        for suffix, figure in (("", "median"), ("_p10", "p10"))
        for key, name in _ROWS.items()
        if name in forward
    }
