# SPDX-License-Identifier: Apache-2.0
"""The budget of a frame: where its time goes from six JPEGs to a map, beside the least this machine allows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mapkd_core.bench import machine, overhead
from mapkd_core.bench.recorded import jpegs as recorded_jpegs
from mapkd_core.bench.stages import moved, rendered_frame
from mapkd_core.bench.timing import interleaved, torch_threads
from mapkd_core.data.frame_folder import FrameFolder
from mapkd_core.data.prepare import prepare
from mapkd_core.mapper import SHIPPED, Mapper
from mapkd_core.models.build import plan
from mapkd_core.models.onnx_graph import default_threads
from mapkd_core.performance import ceilings, choice, parts, ways
from mapkd_core.performance.ceilings import ROOFS
from mapkd_core.performance.floors import stage_floors
from mapkd_core.performance.pipeline import JpegPipeline
from mapkd_core.training.checkpoint import load_weights
from mapkd_core.types import Camera, Frame, LocalMap

SCHEMA = 2
STAGES = ("decode", "resize", "prepare", "plan", "network", "vectorise")
QUALITIES = (95, 80)  # of the JPEGs; 80 is what image_transport sends unless told


def run(
    weights: Path | None = None,
    repeats: int = 30,
    threads: int | None = None,
    backend: str = "auto",
    frame: Frame | None = None,
    node: Mapping[str, Any] | None = None,
    recorded: FrameFolder | None = None,
) -> dict[str, Any]:
    """Measure; JSON-ready. A minute for 30 repeats on two idle cores.

    frame: with pictures, which are made JPEGs; a rendered one of six 1600 x 900 if absent. node: the result of
    `mapkd bench latency`, whose stages are put beside. recorded: its JPEGs are measured, too; ValueError for those that
    `bench.recorded.jpegs` refuses.
    """
    count = threads or default_threads()
    files = [] if recorded is None else recorded_jpegs(recorded)
    before = machine.load()
    given = frame or rendered_frame()
    with torch_threads(count):
        mapper = Mapper(weights, backend, "cpu", threads=count)
        sources = {f"quality {q}": (given.cameras, jpegs(given, q)) for q in QUALITIES}
        if recorded is not None:
            sources["recorded"] = (recorded.frame.cameras, files)
        turns = itertools.count()
        calls = {
            f"{name}, {source}": partial(
                _map, JpegPipeline(mapper, cameras, count, name == "reduced"), data, cameras, turns
            )
            for source, (cameras, data) in sources.items()
            for name in ("reduced", "whole")
        }
        paths = _stages(calls, repeats)
        runtime = choice.taken(backend, mapper.card["sha256"], count)
        network = _network(weights, given, count, repeats, runtime)
    after = machine.load()
    result = {
        "schema": SCHEMA,
        "machine": machine.describe(count)
        | {"load_before": before, "load_after": after, "shared": max(before, after) > count + 0.5},
        "cameras": len(given.cameras),
        "picture": [given.cameras[0].width, given.cameras[0].height],
        "backend": backend,
        "runtime": runtime,
        "jpeg_bytes": {source: int(np.mean([len(j) for j in data])) for source, (_, data) in sources.items()},
        "stages_ms": paths,
        **network,
        "copy_ms": None,  # host to device: there is none on a CPU
        "gpu": "not measured",
    }
    result["floors_ms"] = stage_floors(result, mapper.config)
    return result | _in_the_node(node, paths)


def jpegs(frame: Frame, quality: int) -> list[bytes]:
    """The frame's pictures as JPEGs."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    return [bytes(cv2.imencode(".jpg", c.image[..., ::-1], settings)[1]) for c in frame.cameras if c.image is not None]


def spread(times_ms: Sequence[float]) -> dict[str, float]:
    """p50 and p95 in milliseconds."""
    p50, p95 = np.percentile(times_ms, (50, 95))
    return {"p50": float(f"{p50:.4g}"), "p95": float(f"{p95:.4g}"), "repeats": len(times_ms)}


def _map(pipeline: JpegPipeline, data: Sequence[bytes], cameras: Sequence[Camera], turns: Iterator[int]) -> LocalMap:
    return pipeline(data, moved(cameras, next(turns)))


def _stages(calls: Mapping[str, Callable[[], LocalMap]], repeats: int) -> dict[str, dict[str, dict[str, float]]]:
    """In turns, so that what else the machine does in between falls on all of them alike."""
    for call in calls.values():
        call()
    taken = [{name: call().times_ms for name, call in calls.items()} for _ in range(repeats)]
    return {name: {s: spread([t[name][s] for t in taken]) for s in (*STAGES, "total")} for name in calls}


def _network(weights: Path | None, frame: Frame, threads: int, repeats: int, runtime: str) -> dict[str, Any]:
    """Parts of the forward pass with operations, bytes, floors and times; and the ceilings of this very run.

    In the runtime that runs the whole, where that can run parts.
    """
    model, _ = load_weights(weights or SHIPPED)
    prepared = prepare(frame, model.config)
    table = plan(model.config, prepared.K, prepared.ego_T_camera, prepared.valid)
    roofs = ceilings.measured(model, prepared.images, table)
    rows = parts.costs(model, prepared.images, table)
    parts_in = runtime if runtime in parts.RUNTIMES else "onnx"
    times = interleaved(parts.calls(model, prepared.images, table, threads, parts_in), repeats)
    precision = ways.WAYS[parts_in].precision
    roof = roofs.get(ROOFS[precision]) or roofs["conv_gflops"]
    for name, row in rows.items():
        taken, least = spread(times[name]), ceilings.floor_ms(row, roofs | {"conv_gflops": roof})
        row |= taken | {"floor_ms": least, "share_of_floor": round(least / taken["p50"], 3)}
        row["gflops"] = round(row["gflop"] / taken["p50"] * 1e3, 1)
        row["intensity"] = round(1e3 * row["gflop"] / row["moved_mb"], 2)
    return {"ceilings": roofs, "parts": rows, "parts_in": parts_in, "precision": precision, "roof_gflops": roof}


def _in_the_node(
    node: Mapping[str, Any] | None, paths: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> dict[str, Any]:
    """What `bench latency` found, beside the network alone in this run."""
    if node is None:
        return {}
    stages, bare_ms = node["stages_ms"], list(paths.values())[-1]["network"]["p50"]
    return {
        "node_stages_ms": stages,
        "node_latency_ms": node.get("latency_ms"),
        "node_overhead": overhead.over_own_network(stages),
        "node_over_bare": overhead.over_bare_network(stages, bare_ms),
        "bare_network_ms": bare_ms,
    }
