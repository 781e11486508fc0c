# SPDX-License-Identifier: Apache-2.0
"""The network as an ONNX file: written, kept in the user's cache, and run by ONNX Runtime on the CPU."""

from __future__ import annotations

import importlib.util
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from numpy.typing import NDArray

from mapkd_core.models.inference import Inference, Runner
from mapkd_core.models.map_model import MapModel
from mapkd_core.writing import aside

logger = logging.getLogger(__name__)

OPSET = 18
GRAPH = 3  # to be raised when `Inference` answers differently for the same weights: names the cached files
ANY_NUMBER = {"images": {1: "cameras"}}  # the axes that stay open in the file


def export(model: MapModel, path: Path, cameras: int, plan: NDArray) -> None:
    """Write the ONNX file, aside and renamed. Raises ImportError where onnx is not installed.

    plan: any of `cameras` cameras; only its shape counts. Where the plan does not grow with the number of cameras, as
    with the ground view, the file takes every number; otherwise just this one.
    """
    import onnx  # noqa: F401  (the exporter needs it; ask before the work is done)

    network = Inference(model).eval().to("cpu", memory_format=torch.contiguous_format)
    images = torch.zeros(1, cameras, 3, model.config.image_height, model.config.image_width, dtype=torch.uint8)
    with aside(path) as unfinished, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (images, torch.from_numpy(plan)[None]), str(unfinished), input_names=["images", "plan"],
            output_names=["probability", "scores", "points"], opset_version=OPSET, dynamo=False,
            dynamic_axes=ANY_NUMBER if takes_any_number(model) else None,
        )  # fmt: skip


def takes_any_number(model: MapModel) -> bool:
    """Whether one file serves every number of cameras."""
    return model.config.view == "ground"


def onnx_runner(model: MapModel, digest: str, threads: int | None = None) -> Runner:
    """ONNX Runtime on the CPU; the graph is exported once and kept in the user's cache.

    Raises ImportError where onnxruntime or onnx is not installed.
    """
    import onnxruntime

    if importlib.util.find_spec("onnx") is None:  # the exporter's; asked for now and not at the first frame
        raise ImportError("onnx is not installed")
    sessions: dict[int, onnxruntime.InferenceSession] = {}

    def run(images: NDArray, plan: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        number = 0 if takes_any_number(model) else len(images)
        if number not in sessions:
            sessions[number] = session(exported(model, digest, len(images), plan), threads)
        probability, scores, points = sessions[number].run(None, {"images": images[None], "plan": plan[None]})
        return probability[0], scores[0], points[0]

    return run


def session(graph: bytes | str, threads: int | None = None) -> "onnxruntime.InferenceSession":  # noqa: F821, UP037
    """All fusions on, and no spinning: threads that wait must not take the cores of the nodes beside."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or default_threads()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def infer(
    graph: bytes, given: Mapping[str, NDArray], threads: int | None, at_once: int = 1
) -> list[Callable[[Mapping[str, NDArray]], Mapping[str, NDArray]]]:
    """So many calls of an ONNX file that may run at the same time and share the threads; given: by name, of any shape.

    A `Runtime` of `performance.by_picture`.
    """
    made = session(graph, max(1, (threads or default_threads()) // at_once))
    names = [output.name for output in made.get_outputs()]

    def call(inputs: Mapping[str, NDArray]) -> dict[str, NDArray]:
        return dict(zip(names, made.run(None, dict(inputs)), strict=True))

    return [call] * at_once


def default_threads() -> int:
    """Of the network on a CPU: all cores, at most 4."""
    return min(4, os.cpu_count() or 1)


def exported(model: MapModel, digest: str, cameras: int, plan: NDArray) -> bytes:
    """The graph from the user's cache, or made."""
    number = "any" if takes_any_number(model) else cameras
    return kept(f"{digest[:16]}-{number}-v{GRAPH}.onnx", lambda path: export(model, path, cameras, plan))


def kept(name: str, write: Callable[[Path], None]) -> bytes:
    """A graph from the user's cache; `write` makes it, and it is kept there where that can be written to."""
    path = cache_folder() / name
    try:
        if not path.is_file():
            write(path)
        return path.read_bytes()
    except OSError as error:
        logger.warning("%s cannot be kept (%s): the network is exported at every start, some seconds each", path, error)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def cache_folder() -> Path:
    """Where what was made for this machine is kept: $XDG_CACHE_HOME/mapkd, or ~/.cache/mapkd."""
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mapkd"
