# SPDX-License-Identifier: Apache-2.0
"""Every file of config/train/paper learns, made small, from samples of a set in nuScenes' format, at every range."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from mapkd_core.cli import main

PAPER = Path(__file__).resolve().parents[4] / "config" / "train" / "paper"
SMALL = [
    "model.image_height=64", "model.image_width=96", "model.camera_width=8", "model.bev_width=4", "model.embedding=4",
    "model.queries=4", "model.query_width=32", "model.query_layers=1", "model.query_groups=1", "steps=2", "batch=2",
    "workers=0", "precision=fp32", "warmup=1",
]  # fmt: skip
SIZES = {
    "camera_width": 8, "bev_width": 4, "embedding": 4, "neck_width": 12, "lidar_width": 8, "prior_width": 16,
    "refinement_layers": 1, "refinement_width": 32, "queries": 4, "query_width": 32,
}  # fmt: skip
GRIDS = {
    "60x30": "{x_min: -30, x_max: 30, y_min: -15, y_max: 15, cell: 0.75}",
    "120x60": "{x_min: -60, x_max: 60, y_min: -30, y_max: 30, cell: 1.5}",
    "240x60": "{x_min: -120, x_max: 120, y_min: -30, y_max: 30, cell: 1.5}",
    "100x50": "{x_min: -50, x_max: 50, y_min: -25, y_max: 25, cell: 1.25}",
}
AREA = "{x_min: -50, x_max: 50, y_min: -50, y_max: 50, cell: 2.5}"


@pytest.fixture(scope="module")
def samples(written, nuscenes_devkit, tmp_path_factory):
    """Writes training and validation samples by a paper's settings; returns data= and validation=."""

    def write(name: str, *more: str) -> list[str]:
        base, found = tmp_path_factory.mktemp(name), []
        for key, split in (("data", "mapkd_test"), ("validation", "mapkd_val")):
            out = str(base / key)
            given = ["--split", split, "--rules", "hdmapnet", "--size", "96x64", "--sweeps", "1", "--workers", "1"]
            config = ["--config", str(PAPER / f"{name}.yaml")]
            assert main(["nuscenes", "samples", str(written), *given, *config, "--out", out, *more]) == 0
            found.append(f"{key}={out}")
        return found

    return write


@pytest.fixture(scope="module")
def far(samples):
    """240 x 60 m with LiDAR and SD prior, as MapKD's teacher wants them."""
    return samples("pmapnet", "--range", "240x60")


def trained(name: str, given: list[str], out: Path) -> int:
    return main(["train", str(PAPER / f"{name}.yaml"), *given, "--out", str(out)])


@pytest.mark.parametrize("name", GRIDS)
def test_the_student_learns_at_every_range(name, far, tmp_path):
    assert trained("hdmapnet", [*SMALL, *far, f"model.grid={GRIDS[name]}"], tmp_path) == 0
    assert (tmp_path / "student.safetensors").is_file()


def small(name: str, folder: Path) -> str:
    """A copy of a paper's file with small networks, since key=value would hold for all stages."""
    content = yaml.safe_load((PAPER / f"{name}.yaml").read_text())
    content["model"] |= {
        key: size for key, size in SIZES.items() if key in content["model"] or key in ("queries", "query_width")
    }
    content["model"] |= {"grid": yaml.safe_load(GRIDS["60x30"]), "image_height": 64, "image_width": 96}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return str(folder / f"{name}.yaml")


def test_mapkds_rows_from_samples_to_the_report(far, tmp_path):
    """The commands of docs/distillation.md: refinement, teacher, coach and student, and a score for each."""
    files = [small(name, tmp_path) for name in ("pmapnet", "mapkd_coach", "mapkd_student")]
    steps = ["steps=2", "batch=2", "workers=0", "precision=fp32", "warmup=1", *far]
    assert main(["train", files[0], "--refinement", *steps, "--out", str(tmp_path / "refinement")]) == 0
    given = [*steps, "scheme=mapkd", f"refinement={tmp_path / 'refinement' / 'refinement.safetensors'}"]
    staged = ["train", "--stages", "teacher,coach,student", *files, *given, "--out", str(tmp_path / "mapkd")]
    assert main(staged) == 0
    for network in ("teacher", "student"):
        weights, report = tmp_path / "mapkd" / network / "student.safetensors", tmp_path / f"{network}.json"
        data, maps = far[1].removeprefix("validation="), tmp_path / f"{network}-maps"
        given = ["--data", data, "--vectors", "raster", "--weights", str(weights), "--out", str(report)]
        assert main(["evaluate", *given, "--maps", str(maps)]) == 0
        iou = json.loads(report.read_text())["vectors"]["raster"]["iou"]
        assert set(iou) == {"divider", "ped_crossing", "boundary"}
        files = [str(maps / name) for name in ("truth.json", "raster.json")]
        assert main(["score", *files, "--protocol", "pmapnet", "--as-released"]) == 0
        content = json.loads((maps / "truth.json").read_text())
        assert list(content["scenes"]) == ["procedural-100000"] and len(content["frames"]) == 2


def test_mapdistills_networks_learn_by_their_queries(far, tmp_path):
    given = [*SMALL, *far, f"model.grid={GRIDS['60x30']}"]
    assert trained("mapdistill_teacher", [*given, "model.lidar_width=8"], tmp_path / "teacher") == 0
    taught = [f"teacher={tmp_path / 'teacher' / 'student.safetensors'}", "scheme=mapdistill"]
    assert trained("mapdistill", [*given, *taught], tmp_path / "student") == 0
    alone = ["model.view=ground", "steps=1"]
    assert trained("mapdistill", [*given, *alone], tmp_path / "alone") == 0


def test_networks_of_layers_learn(samples, tmp_path):
    given = [*SMALL, *samples("bridgeta_bevfusion_teacher"), f"model.grid={AREA}", "model.lidar_width=8"]
    for name in ("bridgeta_bevfusion_teacher", "bridgeta_bevfusion"):
        given = [setting for setting in given if "lidar" not in setting or name.endswith("teacher")]
        assert trained(name, given, tmp_path / name) == 0


def test_what_the_samples_do_not_have_is_refused(far, samples, tmp_path, capsys):
    near = samples("hdmapnet", "--sweeps", "0")
    assert trained("hdmapnet", [*SMALL, *near, f"model.grid={GRIDS['120x60']}"], tmp_path / "a") == 1
    assert "reaches x -30..30, y -15..15 m; the network's range x -60..60" in capsys.readouterr().err
    teacher = [*SMALL, *near, f"model.grid={GRIDS['60x30']}", "model.refinement_layers=0", "refinement=''"]
    assert trained("pmapnet", teacher, tmp_path / "b") == 1
    assert "have no lidar; make samples for teachers" in capsys.readouterr().err
    shutil.copytree(far[0].removeprefix("data="), tmp_path / "again")
    shared = [*SMALL, far[0], f"validation={tmp_path / 'again'}", f"model.grid={GRIDS['60x30']}"]
    assert trained("hdmapnet", shared, tmp_path / "c") == 1
    assert "share 2 scenes, the first is procedural-200000" in capsys.readouterr().err
    assert trained("hdmapnet", [*SMALL, "data=out/nuscenes/nowhere"], tmp_path / "d") == 1
    assert "out/nuscenes/nowhere is not there: write it with `mapkd nuscenes samples" in capsys.readouterr().err
