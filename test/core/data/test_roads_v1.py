# SPDX-License-Identifier: Apache-2.0
"""roads-v1: the same bytes every time, splits that share nothing, and damage that is noticed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mapkd_core.config import TrainConfig, load
from mapkd_core.data import roads_v1, seeds
from mapkd_core.data.samples import TRUTH_GRID, SampleFolder
from mapkd_core.worlds import procedural, road_map_file
from mapkd_core.worlds.appearance import draw_look


@pytest.fixture(scope="module")
def road_map(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("maps") / "somewhere.json.gz"
    road_map_file.save(procedural.make_road_map(seeds.DEMO.start + 7), path)
    return path


@pytest.fixture(scope="module")
def smoke(tmp_path_factory, road_map) -> Path:
    folder = tmp_path_factory.mktemp("roads-v1") / "smoke"
    roads_v1.build(folder, "smoke", [road_map], workers=2)
    return folder


def test_the_same_command_gives_the_same_bytes(smoke, tmp_path, road_map):
    for split in ("validation", "test"):  # what is there is kept, so that only training is rendered once more
        shutil.copytree(smoke / split, tmp_path / "again" / split)
    again = roads_v1.build(tmp_path / "again", "smoke", [road_map], workers=1)
    assert again == json.loads((smoke / roads_v1.MANIFEST).read_text()) == roads_v1.check(smoke)


def test_worlds_rendered_once_more_are_compared_with_the_manifest(smoke, tmp_path):
    assert roads_v1.render_again(smoke, 1, workers=2) == 6  # pictures, points, truth of one world of two splits
    other = tmp_path / "other"
    shutil.copytree(smoke, other)
    manifest = json.loads((other / roads_v1.MANIFEST).read_text())
    name = next(name for name in manifest["splits"]["training"]["files"] if name.endswith("images.npy"))
    shutil.copy(other / "validation" / "00100000.images.npy", other / "training" / name)
    manifest["splits"]["training"]["files"][name] = manifest["splits"]["validation"]["files"]["00100000.images.npy"]
    (other / roads_v1.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match=rf"training/{name} rendered anew is not the one of .*this version of mapkd"):
        roads_v1.render_again(other, 1, workers=2)


@pytest.mark.parametrize("size", roads_v1.SIZES)
def test_no_world_is_in_two_splits(size):
    plan = roads_v1.SIZES[size]
    used = []
    for split, (worlds, _) in (("training", plan.training), ("validation", plan.validation), ("test", (1000, 1))):
        first = seeds.SPLITS[split].start
        assert seeds.check(first, worlds) == split
        used.append(set(range(first, first + worlds)))
    assert not (used[0] & used[1] or used[0] & used[2] or used[1] & used[2])


def test_splits_hold_other_roads(smoke):
    """Truth of different splits differs as geometry, not only by name."""
    shapes = {
        split: {e.vertices_m.tobytes() for s in SampleFolder(smoke / split) for e in s.elements}
        for split in ("training", "validation", "test")
    }
    assert all(shapes.values())
    assert not (
        shapes["training"] & shapes["validation"] or (shapes["training"] | shapes["validation"]) & shapes["test"]
    )


def test_frames_carry_what_teachers_need(smoke):
    for split in ("training", "test"):
        samples = list(SampleFolder(smoke / split))
        assert all(len(s.points) > 5000 and s.hd for s in samples)
        assert any(s.sd for s in samples)
        points = np.concatenate([s.points for s in samples])
        assert points[:, 0].min() > TRUTH_GRID.x_min - 0.01 and points[:, 0].max() < TRUTH_GRID.x_max + 0.01
        assert points[:, 4].min() < -0.05 and points[:, 4].max() <= 0.0, "two turns of a twentieth of a second"
        assert abs(np.median(points[:, 2])) < 0.3, "most points are on the ground"


def test_frames_that_are_evaluated_tell_their_light_and_what_the_cameras_see(smoke):
    for split in ("training", "validation", "test"):
        folder = SampleFolder(smoke / split)
        for i, sample in enumerate(folder):
            assert sample.light == draw_look(int(folder.names[folder.index[i][0]])).light
            assert (sample.seen is None) == (split == "training")
            assert sample.seen is None or 0.1 < sample.seen.mean() < 0.95


def test_every_size_has_a_network_of_its_own():
    for plan in roads_v1.SIZES.values():
        assert load(TrainConfig, roads_v1.CONFIGS / plan.config).model.grid.bounds == (-30.0, -15.0, 30.0, 15.0)


def test_damage_is_named(smoke, tmp_path, road_map):
    broken = tmp_path / "broken"
    shutil.copytree(smoke, broken)
    victim = next((broken / "training").glob("*.points.npy"))
    with victim.open("r+b") as file:
        file.seek(500)
        file.write(b"\x07\x07")
    with pytest.raises(ValueError, match=rf"{victim.name} is changed; remove it"):
        roads_v1.check(broken)
    with pytest.raises(ValueError, match=rf"{victim.name} is changed; remove it"):
        roads_v1.build(broken, "smoke", [road_map])  # does not list the damage as right
    victim.unlink()
    with pytest.raises(ValueError, match=rf"{victim.name} is missing"):
        roads_v1.check(broken)
    (broken / roads_v1.MANIFEST).unlink()
    with pytest.raises(FileNotFoundError, match="not complete; build it again"):
        roads_v1.check(broken)


def test_devices_do_not_mix_and_the_manifest_tells_which_rendered(smoke, tmp_path, road_map):
    assert roads_v1.check(smoke)["device"] == "cpu"
    old = tmp_path / "old"
    shutil.copytree(smoke, old)
    mark = json.loads((old / "set.json").read_text())
    assert mark.pop("device") == "cpu"
    (old / "set.json").write_text(json.dumps(mark))  # as sets of before there was a choice
    assert roads_v1.build(old, "smoke", [road_map]) == roads_v1.check(smoke)
    (old / "set.json").write_text(json.dumps(mark | {"device": "cuda"}))
    with pytest.raises(ValueError, match=r'holds another set .*"device": "cuda"'):
        roads_v1.build(old, "smoke", [road_map])


def test_sizes_do_not_mix(smoke):
    with pytest.raises(ValueError, match="holds another set"):
        roads_v1.build(smoke, "small")
    with pytest.raises(ValueError, match="'tiny' of roads-v1 is unknown; known: smoke, small, full"):
        roads_v1.build(smoke, "tiny")


def test_the_documents_tell_the_sizes():
    text = (Path(__file__).parents[3] / "docs/worlds.md").read_text()
    for name, plan in roads_v1.SIZES.items():
        model = load(TrainConfig, roads_v1.CONFIGS / plan.config).model
        (row,) = (line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        (worlds, frames), (others, fewer) = plan.training, plan.validation
        assert f"| {worlds} worlds x {frames} frames | {others} x {fewer} | {plan.test_frames} a map |" in row
        assert f"| {model.image_width} x {model.image_height}, {model.grid.cell:g} m |" in row
