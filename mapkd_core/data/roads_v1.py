# SPDX-License-Identifier: Apache-2.0
"""The benchmark `roads-v1`: which worlds train, choose and test, in three sizes, with a manifest of hashes.

Training and validation are procedural worlds from seed ranges that share none (`data.seeds`); the test is rendered over
the road maps that the user gives, which no procedural world contains. The frames carry what teachers need: LiDAR, SD
and HD prior. The same command gives the same bytes, on the same kind of device: the manifest tells which one rendered.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mapkd_core.config import TrainConfig, load, to_dict
from mapkd_core.data import seeds, set_manifest
from mapkd_core.data.generate import generate
from mapkd_core.data.samples import SampleFolder
from mapkd_core.worlds.sampling import chosen_device
from mapkd_core.writing import write_json

NAME = "roads-v1"
LIDAR_SWEEPS = 2
MANIFEST = set_manifest.NAME
CONFIGS = Path(__file__).resolve().parents[2] / "config" / "train"
_FIRST_DEVICE = "cpu"  # of sets that do not tell: they are of before there was a choice


@dataclass(frozen=True)
class Size:
    """Worlds and frames a world of the procedural splits; the test has `test_frames` of every road map."""

    training: tuple[int, int]
    validation: tuple[int, int]
    test_frames: int
    config: str  # file in config/train: network, pictures and grid of this size


SIZES = {
    "smoke": Size((2, 3), (1, 3), 1, "roads_v1_smoke.yaml"),
    "small": Size((200, 12), (20, 10), 20, "roads_v1_small.yaml"),
    "full": Size((2500, 24), (100, 20), 60, "roads_v1_full.yaml"),
}


def build(
    out: Path, size: str, maps: Sequence[Path] = (), workers: int | None = None, device: str = "cpu"
) -> dict[str, Any]:
    """Write out/{training,validation,test} and the manifest, last; what an interrupted call left is gone on with.

    maps: road-map files of the test; without any there is no test split. device: what renders: cpu, cuda or auto.
    Returns the manifest. Raises ValueError for an unknown size, for a folder that holds another size or was begun on
    another device, and for a file of a complete set that was changed since (see `check`).
    """
    if size not in SIZES:
        raise ValueError(f"size {size!r} of {NAME} is unknown; known: {', '.join(SIZES)}")
    plan = SIZES[size]
    config = load(TrainConfig, CONFIGS / plan.config).model
    pictures = [config.image_height, config.image_width]
    told = {"name": NAME, "size": size, "pictures": pictures, "grid": to_dict(config.grid)}
    told["device"] = device = chosen_device(device)
    _claim(out, told)
    if (out / MANIFEST).is_file():
        check(out)  # else what was damaged since would be listed as right
    splits = {"training": (*plan.training, ()), "validation": (*plan.validation, ())}
    if maps:
        splits["test"] = (len(maps), plan.test_frames, tuple(sorted(maps)))
    for split, (worlds, frames, given) in splits.items():
        first = seeds.SPLITS[split].start
        generate(out / split, worlds, frames, first, config, given, workers, LIDAR_SWEEPS, split != "training", device)
    manifest = told | {"splits": {split: _listed(out / split) for split in splits}}
    for split, (_, _, given) in splits.items():
        manifest["splits"][split]["maps"] = [path.name for path in given]
    write_json(out / MANIFEST, manifest)
    return manifest


def check(folder: Path) -> dict[str, Any]:
    """The manifest, after every file was hashed. Raises FileNotFoundError, or ValueError naming the first bad file."""
    if not (folder / MANIFEST).is_file():
        raise FileNotFoundError(f"{folder / MANIFEST} is missing: the set is not complete; build it again to go on")
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
    for split, listed in manifest["splits"].items():
        remedy = f"remove it and {folder / MANIFEST}, and build the set again"
        set_manifest.verify(folder / split, listed["files"], remedy)
    return manifest


def render_again(folder: Path, worlds: int, workers: int | None = None) -> int:
    """Render the first worlds of both procedural splits once more; returns how many files came out the same.

    The whole of a set is its worlds, each made from its seed alone. Raises ValueError naming the first file that
    differs: another version of mapkd, numpy or OpenCV draws other pictures, and so may another model of GPU.
    """
    manifest = check(folder)
    config = load(TrainConfig, CONFIGS / SIZES[manifest["size"]].config).model
    same, device = 0, manifest.get("device", _FIRST_DEVICE)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".again-") as name:
        for split in ("training", "validation"):
            listed, first = manifest["splits"][split], seeds.SPLITS[split].start
            frames = listed["frames"] // listed["worlds"]
            again, count = Path(name) / split, min(worlds, listed["worlds"])
            generate(again, count, frames, first, config, (), workers, LIDAR_SWEEPS, split != "training", device)
            for file, digest in _listed(again)["files"].items():
                if listed["files"].get(file) != digest:
                    raise ValueError(f"{split}/{file} rendered anew is not the one of {folder / MANIFEST}; "
                                     "was the set made with this version of mapkd and of its packages?")  # fmt: skip
                same += 1
    return same


def _claim(out: Path, told: dict[str, Any]) -> None:
    """Mark the folder as of this size and device, so that two never mix."""
    mark = out / "set.json"
    if mark.is_file() and {"device": _FIRST_DEVICE} | json.loads(mark.read_text()) != told:
        raise ValueError(f"{out} holds another set ({mark.read_text().strip()}); choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_json(mark, told)


def _listed(folder: Path) -> dict[str, Any]:
    samples = SampleFolder(folder)
    return {
        "worlds": len(samples.names), "frames": len(samples),
        "seeds": [int(samples.names[0]), int(samples.names[-1])],
        "files": set_manifest.hashes(folder),
    }  # fmt: skip
