# SPDX-License-Identifier: Apache-2.0
"""An engine for NVIDIA GPUs, discrete or Jetson, from the exported graph: NVIDIA's `trtexec` builds it on the target.

An engine holds for the GPU and the version of TensorRT that it was built with, so it is made where it runs.

The flags are those of samples/common/sampleOptions.cpp in github.com/NVIDIA/TensorRT, looked up on 2026-11-21 in every
release from 10.0 to 10.16. TensorRT 11 has no --fp16, --bf16 and --int8 for graphs any more, it takes precision from
the graph alone: there only fp32 can be built. One frame is one batch: the graph has a batch of 1, and the number of
cameras is its only open axis.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import MOST_CAMERAS
from mapkd_core.performance.tensorrt_graph import unsupported
from mapkd_core.writing import aside

TRTEXEC = ("trtexec", "/usr/src/tensorrt/bin/trtexec")  # the second is where JetPack and the Debian packages put it
PRECISIONS = ("fp32", "fp16", "bf16", "int8")


def build_command(graph: Path, engine: Path, config: ModelConfig, precision: str, any_number: bool) -> list[str]:
    """The call of trtexec without its program. any_number: the graph takes one to eight cameras, best at six.

    Raises ValueError for an unknown precision. int8 needs a graph with its scales in it (`performance.int8`).
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision = {precision!r}; known: {', '.join(PRECISIONS)}")
    command = [f"--onnx={graph}", f"--saveEngine={engine}", "--builderOptimizationLevel=5", "--skipInference"]
    if precision != "fp32":
        command += [f"--{precision}"] + (["--fp16"] if precision == "int8" else [])
    if any_number:
        size = f"3x{config.image_height}x{config.image_width}"
        numbers = {"min": 1, "opt": 6, "max": MOST_CAMERAS}
        command += [f"--{name}Shapes=images:1x{number}x{size}" for name, number in numbers.items()]
    return command


def build(graph: Path, engine: Path, config: ModelConfig, precision: str, any_number: bool) -> None:
    """Write the engine, aside and renamed.

    Raises ValueError for operators that TensorRT lacks, FileNotFoundError without trtexec, RuntimeError where it fails.
    """
    if lacking := unsupported(graph):
        raise ValueError(f"{graph}: TensorRT does not import {', '.join(lacking)}")
    program = next((found for name in TRTEXEC if (found := shutil.which(name))), None)
    if program is None:
        call = " ".join(build_command(graph, engine, config, precision, any_number))
        raise FileNotFoundError(
            "trtexec is not there: build the engine on the machine with the GPU, with TensorRT 10 (JetPack 6.1 "
            f"or later) installed; the call is: trtexec {call}"
        )
    with aside(engine) as unfinished:
        command = [program, *build_command(graph, unfinished, config, precision, any_number)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not unfinished.is_file():
            hint = "" if precision == "fp32" else " (TensorRT 11 has no precisions to choose from: take 10, or fp32)"
            said = (done.stderr or done.stdout)[-500:]
            raise RuntimeError(f"trtexec failed with {done.returncode}{hint}: {said}")
