# SPDX-License-Identifier: Apache-2.0
"""Forms of arguments that several commands share."""

from __future__ import annotations

from typing import Any

MAX_PIXELS = 64_000_000  # what image_codec decodes at most; importing it here would load OpenCV for --help

# What models.inference knows; importing it here would load PyTorch for --help. A test compares them.
BACKENDS = (
    "auto", "torch", "onnx", "onnx-int8", "openvino", "openvino-bf16", "openvino-int8", "compiled", "aot",
    "cuda", "cuda-tf32", "cuda-bf16", "cuda-fp16",
)  # fmt: skip


def add_backend(parser: Any, what: str = "runtime of the network") -> None:
    """`--backend` of a parser or a group of one; what: it does, for the help."""
    told = f"{what}: {', '.join(BACKENDS)}"
    parser.add_argument("--backend", choices=BACKENDS, metavar="B", default="auto", help=told)


def size(text: str) -> tuple[int, int]:
    """ "1600x900" -> (1600, 900). Raises ValueError for anything else, and above MAX_PIXELS."""
    width, separator, height = text.partition("x")
    if not (separator and width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise ValueError(f"size = {text!r}; expected WIDTHxHEIGHT in pixels, e.g. 1600x900")
    if int(width) * int(height) > MAX_PIXELS:
        raise ValueError(f"size = {text!r} has more than {MAX_PIXELS / 1e6:.0f} million pixels; choose a smaller one")
    return int(width), int(height)
