# SPDX-License-Identifier: Apache-2.0
"""Make the weights of a training run the shipped ones, with a complete model card.

Copies RUN_DIR/student.safetensors to mapkd_core/weights/ and completes its JSON card: classes, grid, normalisation,
camera order, training data, licence, and the scores of the reports given with --reports (written by `mapkd evaluate
--out`). A report must be of these very weights. Where the first report scored both heads, the one with the better
mAP becomes the default source of polylines.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mapkd_core.commands.result import Result
from mapkd_core.data import seeds

if TYPE_CHECKING:
    from mapkd_core.models.map_model import MapModel

EXAMPLE = "mapkd ship out/train --reports docs/results/procedural.json docs/results/roads.json"
_LIMIT_BYTES = 20_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="folder that `mapkd train` wrote")
    parser.add_argument(
        "--reports", type=Path, nargs="*", default=[], metavar="FILE", help="JSON of `mapkd evaluate --out`"
    )
    parser.add_argument(
        "--ways", type=Path, nargs="+", default=[], metavar="FILE",
        help="JSON of `mapkd bench ways`, and of `bench budget` on a GPU: backends to vouch for",
    )  # fmt: skip
    parser.add_argument("--vectors", choices=("query", "raster"), help="head that gives polylines by default")
    parser.add_argument("--min-confidence", type=float, metavar="C", help="polylines below it are left out by default")
    parser.add_argument("--model-id", default="mapkd-student", metavar="NAME", help="name in published messages")
    parser.add_argument("--out", type=Path, metavar="DIR", help="instead of mapkd_core/weights")


def run(options: argparse.Namespace) -> Result:
    from mapkd_core.mapper import SHIPPED
    from mapkd_core.training.checkpoint import load_weights, weights_aside

    source = options.run_dir / "student.safetensors"
    model, card = load_weights(source)
    if source.stat().st_size > _LIMIT_BYTES:
        raise ValueError(
            f"{source} has {source.stat().st_size / 1e6:.1f} MB; shipped weights may have {_LIMIT_BYTES / 1e6:.0f} MB"
        )
    reports = {path.stem: _report(path, card["sha256"]) for path in options.reports}
    card |= _facts(card)
    card["model_id"] = f"{options.model_id}@{card['sha256'][:8]}"
    if reports:
        card["metrics"] = {name: report["vectors"] for name, report in reports.items()}
        card["vectors"] = _better(next(iter(reports.values())))
    if options.ways:
        card["miou_lost"] = {k: v for path in options.ways for k, v in _miou_lost(path, card["sha256"]).items()}
        card |= _scales(card, model)
    if options.vectors:
        card["vectors"] = options.vectors
    if options.min_confidence is not None:
        card["min_confidence"] = options.min_confidence
    target = (options.out or SHIPPED.parent) / SHIPPED.name
    with weights_aside(target) as (unfinished, told):
        shutil.copyfile(source, unfinished)
        told |= card
    summary = {
        "weights": str(target), "bytes": target.stat().st_size, "sha256": card["sha256"], "model_id": card["model_id"],
        "vectors": card.get("vectors", "raster"), "reports": list(reports),
    }  # fmt: skip
    return Result(
        summary, f"{target}: {card['model_id']}, {summary['bytes'] / 1e6:.1f} MB, polylines: {summary['vectors']}"
    )


def _facts(card: dict[str, Any]) -> dict[str, Any]:
    """What a user of the weights must know and cannot read off the tensors."""
    from mapkd_core.models.camera import MEAN, STD
    from mapkd_core.worlds.rig import nuscenes_rig

    training = card.get("training", {})
    return {
        "licence": "Apache-2.0",
        "task": "BEV semantic map and polylines from 1 to 8 calibrated cameras, one frame at a time",
        "normalisation": {"colour": "RGB", "mean": list(MEAN), "std": list(STD), "of": "pixel / 255"},
        "preprocessing": "scaled to the network's width, bottom rows kept; mapkd_core/data/prepare.py",
        "camera_order": [camera.name for camera in nuscenes_rig()],
        "camera_order_note": "any order and number: calibration is an input; this is the order of the training frames",
        "training_data": {
            "kind": "rendered pictures of procedural roads; no recorded data of any vehicle",
            "seeds": [seeds.TRAINING.start, seeds.TRAINING.stop - 1],
            "folder": training.get("data", ""),
            "pretrained": _origin(training),
        },
        "limits": "never trained on real pictures: expect much lower scores there",
    }


def _origin(training: dict[str, Any]) -> str:
    given = [f"{what} from {training[key]}" for key, what in (("initial", "all"), ("camera", "camera encoder"))
             if training.get(key)]  # fmt: skip
    return "no" if not given else f"weights to start from: {', '.join(given)}"


def _report(path: Path, digest: str) -> dict[str, Any]:
    if not path.is_file():
        raise FileNotFoundError(f"no report at {path}; write it with `mapkd evaluate ... --out {path}`")
    report: dict[str, Any] = json.loads(path.read_text())
    if report.get("sha256") != digest:
        raise ValueError(
            f"{path} scores weights {str(report.get('sha256'))[:12]}, these are {digest[:12]}; evaluate them again"
        )
    return report


def _miou_lost(path: Path, digest: str) -> dict[str, float]:
    """Points by backend that is not exact; `backend: auto` may take those that lose little enough."""
    if not path.is_file():
        raise FileNotFoundError(f"no result at {path}; write it with `mapkd bench ways --out {path}`")
    result: dict[str, Any] = json.loads(path.read_text())
    if result.get("sha256") != digest:
        raise ValueError(
            f"{path} is of weights {str(result.get('sha256'))[:12]}, these are {digest[:12]}; measure again"
        )
    lost = {name: row["miou_lost"] for name, row in result["ways"].items() if not row["is_exact"]}
    return {name: points for name, points in lost.items() if points is not None}


def _scales(card: dict[str, Any], model: MapModel) -> dict[str, Any]:
    """Of int8, where it is vouched for: with them `backend: auto` may take it, without it would have to calibrate."""
    from mapkd_core.performance import beside_pytorch, int8, int8_scales

    if not any(name.endswith("int8") for name in card["miou_lost"]):
        return {}
    graph = int8.quantised(model, card, *beside_pytorch.noise(model.config, cameras=6))
    return {int8_scales.SCALES: int8_scales.scales_of(graph)}


def _better(report: dict[str, Any]) -> str:
    scores = {vectors: values.get("map") or 0.0 for vectors, values in report["vectors"].items()}
    return max(scores, key=lambda vectors: scores[vectors])
