# SPDX-License-Identifier: Apache-2.0
"""The network on a vehicle: pictures and plan in, probabilities and polylines out; in PyTorch or ONNX Runtime.

N cameras, K classes, Y X canvas cells, Q queries, P points.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mapkd_core.models.map_model import MapModel
from mapkd_core.writing import aside

logger = logging.getLogger(__name__)

# images N 3 H W uint8, plan -> probability K Y X uint8, scores Q K, points Q P 2 in [0, 1]. PyTorch's takes as a third
# argument what teachers know beside the pictures, in the order of MapModel.
Runner = Callable[..., tuple[NDArray, NDArray, NDArray]]
BACKENDS = ("auto", "torch", "onnx")
OPSET = 18
GRAPH = 1  # to be raised when `Inference` answers differently for the same weights: names the cached files


class Inference(nn.Module):
    """1 N 3 H W uint8 and the plan -> probability 1 K Y X uint8, scores 1 Q K in 0..1, points 1 Q P 2.

    known: points, sd, hd and frustum as MapModel takes them, for teachers.
    """

    def __init__(self, model: MapModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, plan: Tensor, *known: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        output = self.model(images, plan, *known)
        scores, points = output.queries[-1]
        probability = output.semantic.softmax(1)[:, 1:]
        return (probability * 255 + 0.5).to(torch.uint8), scores.sigmoid(), points


def make_runner(model: MapModel, backend: str, device: str, digest: str, threads: int | None = None) -> Runner:
    """The fastest runner of `backend` that works here. digest names the cached ONNX file.

    Raises ValueError for a backend or a device that is not there.
    """
    if backend not in BACKENDS:
        raise ValueError(f"unknown backend {backend!r}; known: {', '.join(BACKENDS)}")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device {device!r} asked for, but PyTorch sees no CUDA device; use device: cpu or auto")
    if more := [name for name in model.config.modalities if name != "camera"]:
        if backend == "onnx":
            raise ValueError(f"backend 'onnx' runs cameras alone, this network knows {', '.join(more)}, too: use torch")
        return torch_runner(model, device)
    if backend == "onnx" or (backend == "auto" and device == "cpu"):
        try:
            return onnx_runner(model, digest, threads)
        except ImportError as error:
            if backend == "onnx":
                raise ValueError(
                    "backend 'onnx' needs the packages onnx and onnxruntime: pip install onnx onnxruntime"
                ) from error
            logger.warning(
                "ONNX Runtime or its exporter is not installed: falling back to PyTorch, which is about half as fast"
            )
    return torch_runner(model, device)


def torch_runner(model: MapModel, device: str = "cpu") -> Runner:
    """Eager PyTorch on `device`."""
    network = Inference(model).eval().to(device, memory_format=torch.channels_last)

    def run(images: NDArray, plan: NDArray, known: Sequence[NDArray | None] = ()) -> tuple[NDArray, NDArray, NDArray]:
        given = (None if x is None else torch.from_numpy(x)[None].to(device) for x in (images, plan, *known))
        with torch.inference_mode():
            outputs = network(*given)
        probability, scores, points = (o[0].cpu().numpy() for o in outputs)
        return probability, scores, points

    return run


def onnx_runner(model: MapModel, digest: str, threads: int | None = None) -> Runner:
    """ONNX Runtime on the CPU; the graph is exported once per number of cameras and kept in the user's cache.

    Raises ImportError where onnxruntime or onnx is not installed.
    """
    import onnxruntime

    if importlib.util.find_spec("onnx") is None:  # the exporter's; asked for now and not at the first frame
        raise ImportError("onnx is not installed")
    sessions: dict[int, onnxruntime.InferenceSession] = {}

    def session(cameras: int, plan: NDArray) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or min(4, os.cpu_count() or 1)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        graph = _exported(model, f"{digest[:16]}-{cameras}-v{GRAPH}.onnx", cameras, plan)
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(images: NDArray, plan: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        if len(images) not in sessions:
            sessions[len(images)] = session(len(images), plan)
        probability, scores, points = sessions[len(images)].run(None, {"images": images[None], "plan": plan[None]})
        return probability[0], scores[0], points[0]

    return run


def export(model: MapModel, path: Path, cameras: int, plan: NDArray) -> None:
    """Write the ONNX file for a number of cameras, aside and renamed."""
    import onnx  # noqa: F401  (the exporter needs it; ask before the work is done)

    network = Inference(model).eval().to("cpu", memory_format=torch.contiguous_format)
    images = torch.zeros(1, cameras, 3, model.config.image_height, model.config.image_width, dtype=torch.uint8)
    with aside(path) as unfinished, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (images, torch.from_numpy(plan)[None]), str(unfinished), input_names=["images", "plan"],
            output_names=["probability", "scores", "points"], opset_version=OPSET, dynamo=False,
        )  # fmt: skip


def _exported(model: MapModel, name: str, cameras: int, plan: NDArray) -> bytes:
    """The graph from the user's cache; made, and kept there where that can be written to."""
    path = _cache() / name
    try:
        if not path.is_file():
            export(model, path, cameras, plan)
        return path.read_bytes()
    except OSError as error:
        logger.warning("%s cannot be kept (%s): the network is exported at every start, some seconds each", path, error)
    with tempfile.TemporaryDirectory() as folder:
        export(model, Path(folder) / name, cameras, plan)
        return (Path(folder) / name).read_bytes()


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mapkd"
