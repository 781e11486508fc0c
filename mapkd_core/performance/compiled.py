# SPDX-License-Identifier: Apache-2.0
"""The network through PyTorch's compiler: in memory (torch.compile), or as a package on disk (AOTInductor).

Both need a C++ compiler on the machine and a minute; the package is kept in the user's cache.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from mapkd_core.models.inference import Inference, Runner
from mapkd_core.models.map_model import MapModel
from mapkd_core.models.onnx_graph import GRAPH, cache_folder
from mapkd_core.writing import aside


def compiled_runner(model: MapModel, digest: str = "", threads: int | None = None) -> Runner:
    """torch.compile; compiles at the first frame, and again for another number of cameras."""
    network = Inference(model).eval().to(memory_format=torch.channels_last)
    return _runner(torch.compile(network, dynamic=False))


def aot_runner(model: MapModel, digest: str, threads: int | None = None) -> Runner:
    """A package made by AOTInductor for each number of cameras, loaded from the user's cache."""
    packages: dict[int, Runner] = {}

    def run(images: NDArray, plan: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        if len(images) not in packages:
            path = cached(digest, len(images))
            if not path.is_file():
                package(model, path, images, plan)
            packages[len(images)] = loaded(path)
        return packages[len(images)](images, plan)

    return run


def cached(digest: str, cameras: int) -> Path:
    """Where the package for so many cameras is kept."""
    # Compiled for the instructions of this processor: a home on the network serves several.
    machine = f"torch{torch.__version__}-{platform.machine()}-{torch.backends.cpu.get_cpu_capability()}"
    return cache_folder() / f"{digest[:16]}-{cameras}-v{GRAPH}-{machine}.pt2"


def package(model: MapModel, path: Path, images: NDArray, plan: NDArray) -> None:
    """Write the .pt2 file, aside and renamed: torch.export, then AOTInductor for this machine's processor.

    images: N 3 H W uint8, plan: of them; only the shapes count.
    """
    import torch._inductor  # not loaded by `import torch`

    network = Inference(model).eval().to(memory_format=torch.channels_last)
    given = (torch.from_numpy(images)[None], torch.from_numpy(plan)[None])
    with torch.no_grad(), aside(path) as unfinished:
        torch._inductor.aoti_compile_and_package(torch.export.export(network, given), package_path=str(unfinished))


def loaded(path: Path) -> Runner:
    """A package of `package`, ready to run on this machine's processor."""
    import torch._inductor

    return _runner(torch._inductor.aoti_load_package(str(path)))


def _runner(network: Any) -> Runner:
    def run(images: NDArray, plan: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        with torch.no_grad():  # not inference_mode: packages refuse its tensors
            answers = network(torch.from_numpy(images)[None], torch.from_numpy(plan)[None])
        probability, scores, points = (answer[0].numpy() for answer in answers)
        return probability, scores, points

    return run
