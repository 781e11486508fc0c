# SPDX-License-Identifier: Apache-2.0
"""Weights of one network as the start of another: which tensors fit, and whether they mean the same there."""

from __future__ import annotations

from mapkd_core.config import ModelConfig
from mapkd_core.models.map_model import MapModel

DECODER = ("decoder.", "raster.", "query.")  # with both heads
# Of the light decoder, and of ResNet without and with a neck: they read the camera BEV first and LiDAR last.
FIRST_CONVOLUTIONS = ("decoder.stem.0.conv.weight", "decoder.stem.conv.weight", "decoder.neck.0.weight")
# What the shapes of decoder and heads depend on, and which channel of the first convolution means what.
EQUAL = (
    "view", "camera_width", "detail_width", "bev_width", "neck_width", "embedding", "queries", "points", "query_width",
    "query_layers", "query_groups",
)  # fmt: skip


def hand_over(teacher: MapModel, student: MapModel, parts: tuple[str, ...]) -> list[str]:
    """Copy the teacher's tensors of these parts into the student where names and shapes agree; returns their names.

    Of the decoder's first convolution the leading channels fit, which are the cameras'.
    """
    given, own = teacher.state_dict(), student.state_dict()
    taken = {}
    for name, tensor in own.items():
        if name.startswith(parts) and name in given and given[name].ndim == tensor.ndim:
            if given[name].shape == tensor.shape:
                taken[name] = given[name]
            elif name in FIRST_CONVOLUTIONS and given[name].shape[1] > tensor.shape[1]:
                taken[name] = given[name][:, : tensor.shape[1]]
    student.load_state_dict(own | taken)
    return sorted(taken)


def check_equal(teacher: ModelConfig, student: ModelConfig) -> None:
    """Raises ValueError, naming both sides, where networks differ in what decoder and heads depend on."""
    apart = {what: (getattr(teacher, what), getattr(student, what)) for what in EQUAL}
    theirs, ours = (_beside_cameras(config) for config in (teacher, student))
    if ours != theirs[: len(ours)]:
        apart["inputs beside the cameras"] = (theirs, ours)
    if told := [f"{what} {one!r} and {other!r}" for what, (one, other) in apart.items() if one != other]:
        raise ValueError(
            f"inherit: teacher and student differ in {', '.join(told)}; a decoder is handed over between equals: "
            "train them with the same, or set scheme_settings.inherit=nothing"
        )


def check_whole(student: MapModel, taken: list[str]) -> None:
    """Raises ValueError where some tensor of decoder and heads was not taken: nobody would know which half is whose."""
    if left := [name for name in student.state_dict() if name.startswith(DECODER) and name not in taken]:
        raise ValueError(
            f"inherit: the teacher has nothing that fits the student's {left[0]} ({len(left)} tensors in all); "
            "a decoder is handed over as a whole: train both with the same settings, or set "
            "scheme_settings.inherit=nothing"
        )


def _beside_cameras(config: ModelConfig) -> list[tuple[str, int]]:
    """What the decoder's first convolution reads after the cameras' channels, in its order, and how wide each is."""
    lidar = [("lidar", config.lidar_width)] if {"lidar", "simulated_lidar"} & set(config.modalities) else []
    return [*lidar, *([("hd", config.hd_width)] if config.hd_width else [])]
