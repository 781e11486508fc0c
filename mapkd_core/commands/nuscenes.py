# SPDX-License-Identifier: Apache-2.0
"""Write, check and split datasets in nuScenes' format, and make training samples from them.

write ROOT  renders the standard set of worlds as a nuScenes dataset that nuscenes-devkit loads, maps included: fixed
            seeds, a manifest of hashes, the same bytes each time. It can be interrupted and repeated.
check ROOT  reads a dataset, real or written here: tables, maps, the first sample of each scene; hashes where there is a
            manifest.
split ROOT  makes a split whose scenes keep a distance from each other, from the ego poses, as JSON for
            `mapkd evaluate --nuscenes ROOT --splits FILE --split val`.
samples ROOT  writes the scenes of a split as the folder that `mapkd train data=DIR validation=DIR` learns from:
            pictures at the network's size, truth by a paper's rules as far as the range asks for, LiDAR turns joined,
            SD and HD priors. It can be interrupted and repeated.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mapkd_core.commands import nuscenes_samples
from mapkd_core.commands.arguments import size
from mapkd_core.commands.result import Result
from mapkd_core.writing import write_json

EXAMPLE = (
    "mapkd nuscenes write out/roads-nuscenes\n  mapkd nuscenes check /data/nuscenes --version v1.0-mini\n"
    "  mapkd nuscenes split /data/nuscenes --version v1.0-trainval --distance 100 --out geographic.json\n"
    "  mapkd nuscenes samples /data/nuscenes --version v1.0-trainval --split train --rules hdmapnet \\\n"
    "      --config config/train/paper/hdmapnet.yaml --range 120x60 --out out/nuscenes/training"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("write", "check", "split", "samples"), help="what to do")
    parser.add_argument("root", type=Path, metavar="ROOT", help="folder of the dataset; write: must not exist")
    parser.add_argument("--version", metavar="V", help="folder of the tables, e.g. v1.0-mini; the only one if absent")
    parser.add_argument(
        "--out", type=Path, metavar="PATH", help="samples: folder; split: JSON, ROOT's name + .split.json"
    )
    parser.add_argument("--size", metavar="WxH", help="pictures in pixels; write: 800x450, samples: of the settings")
    parser.add_argument(
        "--sweeps", type=int, metavar="S",
        help="LiDAR turns; write: before each key frame, 0..9, 2 if absent; samples: joined, 3 if absent, 0 for none",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, metavar="W", help="processes; one per core where not given")
    write = parser.add_argument_group("write")
    for split, count in (("training", 12), ("validation", 4), ("test", 4)):
        write.add_argument(f"--{split}", type=int, default=count, metavar="N", help=f"procedural worlds of {split}")
    write.add_argument(
        "--maps", type=Path, nargs="+", default=[], metavar="MAP", help="road maps, as further test worlds"
    )
    write.add_argument("--frames", type=int, default=20, metavar="F", help="key frames a scene, two a second")
    split = parser.add_argument_group("split")
    split.add_argument("--distance", type=float, default=100.0, metavar="M", help="metres between two splits")
    split.add_argument("--shares", type=float, nargs=3, default=[0.7, 0.15, 0.15], metavar="S", help="train, val, test")
    split.add_argument("--seed", type=int, default=0, metavar="N", help="of the directions that are tried")
    nuscenes_samples.add_arguments(parser)


def run(options: argparse.Namespace) -> Result:
    what = {"write": _write, "check": _check, "split": _split, "samples": nuscenes_samples.run}
    return what[options.what](options)


def _write(options: argparse.Namespace) -> Result:
    from mapkd_core.data.nuscenes_worlds.recipe import Recipe, standard_worlds
    from mapkd_core.data.nuscenes_worlds.write import write_set

    counts = {split: getattr(options, split) for split in ("training", "validation", "test")}
    if min(counts.values()) < 0:
        raise ValueError(f"worlds {counts}: must not be negative")
    width, height = size(options.size or "800x450")
    version = {"version": options.version} if options.version else {}
    sweeps = 2 if options.sweeps is None else options.sweeps
    recipe = Recipe(standard_worlds(counts, options.maps), options.frames, width, height, sweeps, **version)
    made = write_set(options.root, recipe, options.workers)
    summary = {
        "root": str(options.root), "version": recipe.version, "scenes": len(made.scenes), "files": len(made.files),
        "digest": made.digest,
    }  # fmt: skip
    return Result(summary, f"{options.root}: {len(made.scenes)} scenes, {len(made.files)} files, digest {made.digest}")


def _check(options: argparse.Namespace) -> Result:
    from tqdm import tqdm

    from mapkd_core.data.nuscenes import NuScenesSet
    from mapkd_core.grid import BevGrid

    dataset = NuScenesSet(options.root, options.version)
    elements = samples = 0
    for scene in tqdm(dataset.scene_names, desc="check", unit="scene", delay=2):
        tokens = list(dataset.sample_tokens(scene))
        for token in tokens:
            dataset.pose(token)
        dataset.frame(tokens[0])
        elements += len(dataset.truth(tokens[0], BevGrid()))
        samples += len(tokens)
    hashes = dataset.manifest.verify() if dataset.manifest else 0
    summary = {
        "root": str(options.root), "version": dataset.version, "scenes": len(dataset.scene_names), "samples": samples,
        "elements": elements, "hashes": hashes, "digest": dataset.manifest.digest if dataset.manifest else None,
    }  # fmt: skip
    text = f"{options.root} {dataset.version}: {len(dataset.scene_names)} scenes, {samples} samples"
    return Result(summary, f"{text}, {f'{hashes} hashes right' if hashes else 'no manifest'}")


def _split(options: argparse.Namespace) -> Result:
    from mapkd_core.data.nuscenes import NuScenesSet
    from mapkd_core.data.nuscenes.geographic_split import geographic_split

    dataset = NuScenesSet(options.root, options.version)
    split = geographic_split(dataset.tracks(), options.distance, options.shares, options.seed)
    out = options.out or Path(f"{options.root.name}.split.json")
    write_json(out, split)
    counts = {name: len(scenes) for name, scenes in split.items() if isinstance(scenes, list)}
    summary = {"out": str(out), "scenes": counts, "about": split["about"]}
    return Result(summary, f"{out}: scenes {counts}, nearest {split['about']['nearest_m']} m")
