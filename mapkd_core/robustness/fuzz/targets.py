# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed: each target reads bytes as one kind of hostile input, and names the errors that it documents."""

from __future__ import annotations

import atexit
import gzip
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mapkd_core.robustness.fuzz import seeds

_Read = Callable[[bytes], object]


@dataclass(frozen=True)
class Target:
    """read: bytes -> anything, or one of `refusals`. seeds: sound inputs to begin with. weight: share of the cases."""

    name: str
    read: _Read
    seeds: Callable[[], list[bytes]]
    refusals: tuple[type[Exception], ...] = (ValueError, FileNotFoundError)
    weight: float = 1.0


@cache
def _folder() -> Path:
    """In memory where the system has such a place: a million files are written."""
    shared = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="mapkd-fuzz-", dir=shared if os.access(shared, os.W_OK) else None))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _written(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


def read_image(data: bytes) -> object:
    """The first byte chooses the format's text."""
    from mapkd_core.data.image_codec import decode_compressed

    texts = ("", "jpeg", "png", "rgb8; jpeg compressed bgr8", "bgr8; png compressed rgb8", "16UC1; compressedDepth")
    return decode_compressed(texts[data[0] % len(texts)] if data else "", data[1:])


def read_calibration_json(data: bytes) -> object:
    from mapkd_core.data.calibration import read_calibration

    return read_calibration(_written("calibration.json", data))


def read_calibration_yaml(data: bytes) -> object:
    from mapkd_core.data.calibration import read_calibration

    return read_calibration(_written("calibration.yaml", data))


def read_settings(data: bytes) -> object:
    from mapkd_core.config import TrainConfig, load

    return load(TrainConfig, _written("train.yaml", data))


def read_override(data: bytes) -> object:
    from mapkd_core.config import TrainConfig, load

    return load(TrainConfig, None, [data.decode("utf-8", "replace")])


def read_frame(data: bytes) -> object:
    from mapkd_core.data.frame_folder import read_frame_folder

    folder = _folder() / "frame"
    if not folder.is_dir():
        folder.mkdir()
        (folder / "a.jpg").write_bytes(seeds.jpeg())
        (folder / "lidar.bin").write_bytes(bytes(200))
    (folder / "frame.json").write_bytes(data)
    return read_frame_folder(folder)


def read_road_map(data: bytes) -> object:
    from mapkd_core.worlds import road_map_file

    return road_map_file.load(_written("map.json.gz", gzip.compress(data, 1, mtime=0)))


def read_gzip(data: bytes) -> object:
    from mapkd_core.worlds import road_map_file

    return road_map_file.load(_written("packed.json.gz", data))


def read_submission(data: bytes) -> object:
    from mapkd_core.evaluation.map_files import read_maps

    path = _written("maps.json", data)
    try:
        return read_maps(path, with_score=True)
    except ValueError:
        return read_maps(path, with_score=False, ignore_other_classes=True)


def read_card(data: bytes) -> object:
    """A card beside sound weights, whose hash it is given where it still is JSON."""
    from mapkd_core.training.checkpoint import load_weights

    weights = seeds.weights()
    try:
        card = json.loads(data)
        data = json.dumps(card | {"sha256": hashlib.sha256(weights).hexdigest()}).encode()
    except (ValueError, TypeError, RecursionError):
        pass
    _written("card.json", data)
    return load_weights(_written("card.safetensors", weights))


def read_weights(data: bytes) -> object:
    """Weights that their card vouches for: hostile weights come with a card of their own."""
    from mapkd_core.training.checkpoint import load_weights

    card = json.loads(seeds.card()) | {"sha256": hashlib.sha256(data).hexdigest()}
    _written("weights.json", json.dumps(card).encode())
    return load_weights(_written("weights.safetensors", data))


def read_checkpoint(data: bytes) -> object:
    from mapkd_core.training.checkpoint import load_training

    return load_training(_written("last.pt", data))


def targets() -> tuple[Target, ...]:
    """All of them."""
    from mapkd_core.robustness.fuzz import bag_targets

    return (
        Target("image", read_image, seeds.images, weight=2),
        Target("calibration", read_calibration_json, seeds.calibrations, weight=2),
        Target("calibration_yaml", read_calibration_yaml, seeds.calibrations_yaml),
        Target("settings", read_settings, seeds.settings),
        Target("override", read_override, seeds.overrides),
        Target("frame", read_frame, seeds.frames, weight=2),
        Target("road_map", read_road_map, seeds.road_maps),
        Target("gzip", read_gzip, lambda: [gzip.compress(m, mtime=0) for m in seeds.road_maps()]),
        Target("submission", read_submission, seeds.submissions, weight=2),
        Target("card", read_card, lambda: [seeds.card()], weight=0.2),
        Target("weights", read_weights, lambda: [seeds.weights()], weight=0.2),
        Target("checkpoint", read_checkpoint, seeds.checkpoints),
        *bag_targets.targets(),
    )
