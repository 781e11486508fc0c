# SPDX-License-Identifier: Apache-2.0
"""Settings as frozen dataclasses: they carry every default; a YAML states what differs, `key=value` overrides both."""

from __future__ import annotations

import dataclasses
import difflib
import sys
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mapkd_core.grid import BevGrid
from mapkd_core.reading import parse_yaml
from mapkd_core.types import CLASSES, LAYERS


@dataclass(frozen=True)
class ModelConfig:
    """The student network. Sizes in channels unless said otherwise."""

    image_height: int = 128  # px; the picture is scaled to image_width and its bottom image_height rows are kept
    image_width: int = 352  # px
    classes: tuple[str, ...] = CLASSES  # lines; or areas too, of types.LAYERS: each has a sigmoid of its own then
    grid: BevGrid = field(default_factory=BevGrid)
    modalities: tuple[str, ...] = ("camera",)  # what the network gets; models.build.MODALITIES
    lidar_width: int = 32  # channels of the LiDAR features
    prior_width: int = 64  # channels of a map prior's tokens
    hd_width: int = 0  # > 0: an HD prior is laid into the BEV, too, in so many channels (models.prior.LaidPrior)
    refinement_layers: int = 0  # > 0: models.refinement corrects the semantic map
    refinement_width: int = 128  # channels of the refinement's tokens
    view: str = "ground"  # view transform: a key of models.build.VIEWS; "perspective" and its dual: HDMapNet's trunk
    decoder: str = "light"  # or "resnet", HDMapNet's with a full decoder for each raster
    neck_width: int = 0  # > 0: P-MapNet's and MapKD's detour over 1/8 of the canvas, of so many channels, before resnet
    heights: tuple[float, ...] = (0.0,)  # m above the ground at which `ground` looks each cell up
    camera_width: int = 64  # channels of the camera features at 1/8
    detail_width: int = 16  # channels of the camera features at 1/4
    bev_width: int = 32  # channels of the BEV decoder at its finest level; doubles per level
    embedding: int = 8  # dimensions of the instance embedding
    queries: int = 50  # polylines the query head can give
    points: int = 20  # vertices per polyline
    query_width: int = 128
    query_layers: int = 3
    query_groups: int = 2  # training only: independent sets of queries, each matched one to one

    @property
    def decoder_grid(self) -> BevGrid:
        """The grid the BEV decoder works on: half the resolution of the canvas."""
        return self.grid.coarser(2)

    @property
    def overlapping(self) -> bool:
        """Whether classes are layers of which a cell may have several, as soon as one of them is an area."""
        return bool(set(self.classes) & (set(LAYERS) - set(CLASSES)))

    @property
    def semantic_channels(self) -> int:
        """Channels of MapOutput.semantic: background and classes, or layers alone, which have no background."""
        return len(self.classes) + (0 if self.overlapping else 1)

    @property
    def bev_channels(self) -> int:
        """Channels of MapOutput.bev."""
        return self.bev_width * (5 if self.decoder == "resnet" else 1)

    @property
    def camera_channels(self) -> int:
        """Channels of MapOutput.camera_bev; of a dual view, of its first part."""
        is_ground = self.view in ("ground", "dual")
        return (self.camera_width + self.detail_width) * len(self.heights) if is_ground else self.camera_width

    @property
    def bottleneck_width(self) -> int:
        """Channels of MapOutput.bottleneck."""
        return self.neck_width or 4 * self.bev_width


@dataclass(frozen=True)
class TrainConfig:
    """One training run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: str = "out/data/train"  # folder written by `mapkd dataset`
    validation: str = "out/data/validation"
    initial: str = ""  # weights (.safetensors) to start from; empty = from nothing
    camera: str = ""  # weights to start the camera encoder from: a student's, or timm's mobilenetv4_conv_small
    refinement: str = ""  # weights of `mapkd train --refinement` for a network with model.refinement_layers
    scheme: str = ""  # distillation: a file of mapkd_core/distillation; empty = from truth alone
    scheme_settings: dict[str, Any] = field(default_factory=dict)  # of the scheme's own Config
    teacher: str = ""  # weights of the teacher, and of the coach where the scheme wants one
    coach: str = ""
    answers: str = ""  # folder that keeps what frozen teachers answer, for all runs; needs `variants`
    answers_gb: float = 24.0  # more than this is not begun
    variants: int = 0  # > 0: a frame has so many fixed variants, the same for every seed; 0: a new one each epoch
    seed: int = 0
    batch: int = 4  # frames a step
    steps: int = 6000
    minutes: float = 0.0  # > 0: the schedule ends after this wall time instead of after `steps`
    optimizer: str = "muon"  # muon, adamw or adam
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: int = 200  # steps
    decay_every: int = 0  # steps, > 0: the rate falls to a tenth each time, instead of along a cosine over the run
    clip: float = 10.0  # gradient norm
    ema: float = 0.998  # decay of the averaged weights that are kept
    precision: str = "auto"  # bf16 (autocast), fp32, or auto: bf16 where the device computes it
    workers: int = 1  # loader processes
    semantic_loss: str = "softmax"  # cross entropy of a softmax over classes, or "sigmoid": of each class's own
    validate_every: int = 1500  # steps
    checkpoint_every: int = 500  # steps
    camera_dropout: float = 0.15  # probability that a frame loses one or two cameras
    modality_dropout: float = 0.1  # probability that a teacher that learns loses a frame's LiDAR, SD or HD prior, each
    mirror: bool = True
    turn: float = 0.15  # rad, random yaw of the ego frame
    shift: float = 1.5  # m, random shift of the ego frame
    calibration_noise: float = 0.001  # rad, standard deviation of what the network is not told
    weights: dict[str, float] = field(
        default_factory=lambda: {
            "semantic": 1.0, "dice": 1.0, "embedding": 0.03, "direction": 0.2, "class": 2.0, "point": 30.0, "edge": 0.1,
            "camera": 1.0,
        }
    )  # fmt: skip


def load(cls: type, path: Path | str | None = None, overrides: Sequence[str] = ()) -> Any:
    """An instance of the dataclass `cls` from its defaults, a YAML file and `a.b=value` overrides, in this order.

    Raises FileNotFoundError without the file, ValueError for what is no YAML, for an unknown key, naming the nearest
    known one, and for a value of the wrong type.
    """
    values: dict[str, Any] = {}
    if path is not None:
        if not Path(path).is_file():
            raise FileNotFoundError(f"no configuration file at {path}; those of mapkd are in config/train")
        loaded = parse_yaml(Path(path).read_text(errors="replace"), str(path)) or {}
        if not isinstance(loaded, dict):
            raise ValueError(f"{path}: expected `key: value` lines, got {type(loaded).__name__}")
        values = loaded
    for override in overrides:
        key, separator, value = override.partition("=")
        if not separator:
            raise ValueError(f"override {override!r} has no '='; write key=value")
        _set(values, key.split("."), parse_yaml(value, f"override {override!r}"))
    return from_dict(cls, values)


def from_dict(cls: type, values: dict[str, Any], where: str = "") -> Any:
    """Plain nested dictionaries to the dataclass, checked."""
    known = {f.name: f for f in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    arguments = {}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)  # YAML has keys of any type
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
            raise ValueError(f"unknown setting {where}{key!r}{hint}")
        arguments[key] = _convert(hints[key], value, f"{where}{key}")
        if isinstance(arguments[key], dict) and hints[key] == dict[str, float]:
            arguments[key] = _merged(known[key], arguments[key], f"{where}{key}")
    return cls(**arguments)


def to_dict(config: Any) -> dict[str, Any]:
    """The inverse of `from_dict`: plain values, fit for YAML, JSON and checkpoints."""
    return typing.cast("dict[str, Any]", _plain(dataclasses.asdict(config)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (tuple, list)) else value


def _names(cls: type) -> list[str]:
    return [f.name for f in dataclasses.fields(cls)]


def _merged(setting: dataclasses.Field[Any], values: dict[str, Any], where: str) -> dict[str, float]:
    """The default table with what `values` states: one weight changed leaves the others as they were."""
    default = setting.default_factory() if callable(setting.default_factory) else {}
    for name, value in values.items():
        if default and name not in default:
            raise ValueError(f"unknown setting {where}.{name!r}; known: {', '.join(default)}")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > sys.float_info.max:
            raise ValueError(f"{where}.{name} = {repr(value)[:40]}: expected a number")
    return default | {name: float(value) for name, value in values.items()}


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, hint):
            return value
        if not isinstance(value, dict):
            raise ValueError(f"{where} = {value!r}: expected `key: value` pairs of {', '.join(_names(hint))}")
        return from_dict(hint, value, f"{where}.")
    origin = typing.get_origin(hint)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{where} = {value!r}: expected a list")
        return tuple(_convert(typing.get_args(hint)[0], v, where) for v in value)
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{where} = {value!r}: expected `key: value` pairs")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return float(value)
    if isinstance(hint, type) and (not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool)):
        raise ValueError(f"{where} = {value!r}: expected {hint.__name__}")
    return value


def _set(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        inner = values.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ValueError(f"{key} = {inner!r} has no setting {keys[-1]!r} inside; it is a plain value")
        values = inner
    values[keys[-1]] = value
