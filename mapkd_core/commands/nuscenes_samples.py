# SPDX-License-Identifier: Apache-2.0
"""`mapkd nuscenes samples`: a split of a nuScenes dataset as the folder that `mapkd train data=DIR` learns from."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_core.commands.arguments import size
from mapkd_core.commands.result import Result

if TYPE_CHECKING:
    from mapkd_core.config import TrainConfig
    from mapkd_core.data.nuscenes import NuScenesSet

# As mapkd_core.data.nuscenes.RULES and mapkd_core.grid.RANGES have them, without loading shapely for --help.
RULES = ("ours", "hdmapnet", "pmapnet", "maptr", "streammapnet")
RANGES = ("60x30", "120x60", "240x60", "100x50")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("samples")
    group.add_argument("--split", metavar="NAME", help="scenes: train, val, mini_train, mapkd_train, ...")
    group.add_argument(
        "--splits",
        type=Path,
        metavar="FILE",
        help="streammapnet, or a file or folder of splits, instead of the official (docs/nuscenes.md)",
    )
    group.add_argument("--rules", choices=RULES, default="ours", help="whose rules make the truth")
    group.add_argument(
        "--config", type=Path, metavar="YAML", help="training settings: pictures, classes, range, modalities"
    )
    group.add_argument("--range", choices=RANGES, help="length x width in metres, instead of the settings' model.grid")
    group.add_argument("--sd", type=Path, metavar="DIR", help="OpenStreetMap extracts <city>.osm or .geojson")
    group.add_argument(
        "--hd", metavar="LEVEL|ROOT", default="",
        help="HD prior: true, fresh, aged or poor copy of the map, or a dataset with another one; none if absent",
    )  # fmt: skip


def run(options: argparse.Namespace) -> Result:
    from mapkd_core.data.fit import needed
    from mapkd_core.data.nuscenes import NuScenesSet
    from mapkd_core.data.nuscenes.sample_set import write_samples
    from mapkd_core.data.nuscenes.scene_samples import Recipe

    if not options.split or not options.out:
        raise ValueError("samples need --split NAME and --out DIR; splits: train, val, mini_train, mini_val, ...")
    config = _config(options)
    dataset = NuScenesSet(options.root, options.version)
    scenes = dataset.scenes(options.split, options.splits)
    sweeps = 3 if options.sweeps is None else options.sweeps
    recipe = Recipe(config.model, needed(config), options.rules, sweeps, _sd(options, dataset, scenes), options.hd)
    _check_modalities(config, recipe)
    told = {"split": options.split, "splits": _source(options), "range": options.range or "of the settings"}
    manifest = write_samples(options.out, dataset, scenes, recipe, told, options.workers)
    keys = ("split", "rules", "reach_m", "pictures", "frames", "modalities")
    summary = {"out": str(options.out), "scenes": len(scenes)} | {key: manifest[key] for key in keys}
    text = (
        f"{options.out}: {manifest['frames']} frames of {len(scenes)} scenes with {', '.join(manifest['modalities'])}"
    )
    return Result(summary, text)


def _config(options: argparse.Namespace) -> TrainConfig:
    from mapkd_core.config import TrainConfig, load
    from mapkd_core.grid import RANGES as GRIDS

    config: TrainConfig = load(TrainConfig, options.config)
    model = config.model
    if options.range:
        model = replace(model, grid=GRIDS[options.range])
    if options.size:
        width, height = size(options.size)
        model = replace(model, image_width=width, image_height=height)
    return replace(config, model=model)


def _sd(options: argparse.Namespace, dataset: NuScenesSet, scenes: tuple[str, ...]) -> dict[str, Path]:
    """Extract of each city: of --sd, or those that a written set brings along."""
    from mapkd_core.data.nuscenes.priors import sd_files

    own = options.root / "maps" / "sd"
    folder = options.sd or (own if own.is_dir() else None)
    return sd_files(folder, sorted({dataset.location(scene) for scene in scenes})) if folder else {}


def _check_modalities(config: TrainConfig, recipe: Any) -> None:
    """Raises ValueError where the settings' network wants what the samples will not have."""
    remedies = {"lidar": (recipe.sweeps, "--sweeps 3"), "sd": (recipe.sd, "--sd DIR"), "hd": (recipe.hd, "--hd aged")}
    for name, (there, remedy) in remedies.items():
        if name in config.model.modalities and not there:
            raise ValueError(f"model.modalities asks for {name}, but the samples will have none: give {remedy}")


def _source(options: argparse.Namespace) -> str:
    return str(options.splits.name) if options.splits else "the official splits and the dataset's own"
