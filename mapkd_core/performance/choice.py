# SPDX-License-Identifier: Apache-2.0
"""Which way runs the network here: measured once, kept in the user's cache for this machine, runtime and network."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mapkd_core.bench import machine
from mapkd_core.bench.timing import interleaved
from mapkd_core.data.tensor_images import TensorImages
from mapkd_core.models.inference import Runner
from mapkd_core.models.onnx_graph import GRAPH, cache_folder, default_threads
from mapkd_core.writing import write_json

logger = logging.getLogger(__name__)

ROUNDS = 7


def key(digest: str, threads: int | None = None, device: str = "cpu") -> str:
    """What a choice holds for: processor and threads, or GPU; versions of the runtimes, and the network."""
    network = f"network {digest[:16]} v{GRAPH}"
    if device != "cpu":
        gpu = machine.describe_gpu(device)
        return f"{gpu['gpu']}; torch {torch.__version__}; CUDA {gpu['cuda']}, cuDNN {gpu['cudnn']}; {network}"
    threads = threads or default_threads()
    described = machine.describe(threads)
    parts = [str(described["processor"]), f"{threads} threads", f"torch {described['torch']}"]
    parts += [f"{name} {_version(name)}" for name in ("onnxruntime", "openvino")]
    return "; ".join([*parts, network])


def fastest(
    runners: Mapping[str, Runner], images: NDArray | TensorImages, plan: NDArray
) -> tuple[str, dict[str, float]]:
    """The runner with the least median, and the medians in milliseconds; measured in turns.

    A runner that fails is left out, with a warning. Raises RuntimeError where all fail.
    """
    able = {}
    for name, run in runners.items():
        try:
            run(images, plan)
            able[name] = run
        except Exception as error:  # of a runtime: another one may do
            logger.warning("%s does not run here: %s", name, " ".join(str(error).split())[:200])
    if not able:
        raise RuntimeError(f"none of {', '.join(runners)} runs the network on this machine")
    calls = {name: (lambda run=run: run(images, plan)) for name, run in able.items()}  # type: ignore[misc]
    medians = {name: round(float(np.median(ms)), 2) for name, ms in interleaved(calls, ROUNDS).items()}
    return min(medians, key=medians.__getitem__), medians


def read(key: str, candidates: Iterable[str] = ()) -> str | None:
    """The way chosen for `key`; None where nothing is known, one of `candidates` was not tried, or it is damaged."""
    found = _content().get(key)
    if not isinstance(found, dict) or not isinstance(found.get("way"), str):
        return None
    tried = found.get("tried", found.get("forward_ms"))  # a file of an earlier version names those that ran
    return found["way"] if isinstance(tried, list | dict) and set(candidates) <= set(tried) else None


def taken(backend: str, digest: str, threads: int | None = None) -> str:
    """What `backend` comes to here: itself, or for `auto` what was chosen; `auto` where nothing was."""
    return read(key(digest, threads)) or backend if backend == "auto" else backend


def write(key: str, way: str, times_ms: Mapping[str, float], tried: Iterable[str] = (), **more: Any) -> None:
    """Keep a choice; a cache that cannot be written is a warning.

    tried: what it was made from beside those that were timed: what does not run here, or was left out.
    """
    try:
        entry = {"way": way, "forward_ms": dict(times_ms), "tried": sorted({*times_ms, *tried}), **more}
        write_json(_path(), _content() | {key: entry})
    except OSError as error:
        logger.warning("%s cannot be kept (%s): the fastest way is measured at every start", _path(), error)


def _content() -> dict[str, Any]:
    try:
        content = json.loads(_path().read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _path() -> Path:
    return cache_folder() / "ways.json"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"
