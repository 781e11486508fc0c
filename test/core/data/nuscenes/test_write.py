# SPDX-License-Identifier: Apache-2.0
"""Writing a set: the same bytes each time, an interruption harms nothing, and the commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mapkd_core import cli
from mapkd_core.data.nuscenes import NuScenesSet, manifest
from mapkd_core.data.nuscenes_worlds import write
from mapkd_core.data.nuscenes_worlds.assemble import places
from mapkd_core.data.nuscenes_worlds.recipe import Recipe, World, standard_worlds


def test_an_interrupted_set_is_finished_to_the_same_hashes(written, recipe, tmp_path):
    """The first world was done and the second half written when the power went."""
    out = tmp_path / "again"
    aside = tmp_path / ".again.partial"
    write._begin(aside, recipe)
    write._write_part(0, aside, recipe)
    (aside / write.PARTS / "00001.unfinished").write_text('{"name"')
    stray = aside / "samples" / "CAM_FRONT" / next((written / "samples" / "CAM_FRONT").glob("*200000*")).name
    stray.write_bytes(b"half a picture")
    with pytest.raises(FileNotFoundError, match="unfinished one: repeat the command"):
        NuScenesSet(out)
    done = next((aside / "samples" / "CAM_FRONT").glob("*100000*"))
    before = done.stat().st_mtime_ns
    made = write.write_set(out, recipe, workers=1)
    first = manifest.read(written)
    assert made.files == first.files and made.digest == first.digest
    assert (out / done.relative_to(aside)).stat().st_mtime_ns == before, "the finished world was not rendered again"
    assert not aside.exists() and not (out / write.PARTS).exists() and made.verify() == len(made.files)


def test_an_existing_set_is_kept_or_refused(written, recipe, tmp_path):
    assert write.write_set(written, recipe).digest == manifest.read(written).digest
    other = Recipe(recipe.worlds, frames=3, width=160, height=90)
    with pytest.raises(ValueError, match="made from another recipe; remove it"):
        write.write_set(written, other)
    with pytest.raises(ValueError, match="was not written by mapkd"):
        write.write_set(tmp_path, recipe)


def test_a_partial_set_of_another_recipe_is_not_mixed_in(recipe, tmp_path):
    write._begin(tmp_path / ".set.partial", Recipe(recipe.worlds, frames=3))
    with pytest.raises(ValueError, match="interrupted run with another recipe; remove it"):
        write.write_set(tmp_path / "set", recipe)


def test_worlds_of_a_city_do_not_overlap():
    bounds = [[-500.5, 20.0, -100.0, 700.0]] * 9
    offsets, canvas = places(bounds)
    boxes = [(x0 + dx, y0 + dy, x1 + dx, y1 + dy) for (x0, y0, x1, y1), (dx, dy) in zip(bounds, offsets, strict=True)]
    assert all(dx == int(dx) and dy == int(dy) for dx, dy in offsets)
    assert min(min(box) for box in boxes) >= 49
    for i, a in enumerate(boxes):
        assert a[2] <= canvas[0] - 49 and a[3] <= canvas[1] - 49
        for b in boxes[:i]:
            assert a[0] > b[2] + 98 or b[0] > a[2] + 98 or a[1] > b[3] + 98 or b[1] > a[3] + 98


def test_the_standard_set_takes_each_split_from_its_own_seeds():
    worlds = standard_worlds({"training": 2, "test": 1})
    assert [(w.name, w.split, w.city) for w in worlds] == [
        ("procedural-0", "training", "boston-seaport"), ("procedural-1", "training", "boston-seaport"),
        ("procedural-200000", "test", "singapore-queenstown"),
    ]  # fmt: skip
    with pytest.raises(FileNotFoundError, match="no such road map"):
        standard_worlds({}, [Path("none.json.gz")])
    with pytest.raises(ValueError, match="at least one world"):
        Recipe(())
    with pytest.raises(ValueError, match="two worlds of the set have one name"):
        Recipe((World("a", 1, "test"), World("a", 2, "test")))


def test_the_commands_check_and_split(written, nuscenes_devkit, tmp_path, capsys):
    assert cli.main(["nuscenes", "check", str(written), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["scenes"] == 3 and summary["samples"] == 6 and summary["hashes"] > 50
    out = tmp_path / "split.json"
    arguments = ["nuscenes", "split", str(written), "--shares", "0.5", "0", "0.5", "--out", str(out), "--json"]
    assert cli.main(arguments) == 0
    assert json.loads(out.read_text())["about"]["seed"] == 0
    assert cli.main(["nuscenes", "check", str(tmp_path / "none")]) == 1
    assert "no nuScenes dataset there" in capsys.readouterr().err


@pytest.mark.slow
def test_weights_are_evaluated_on_a_set(written, nuscenes_devkit, capsys):
    arguments = ["evaluate", "--nuscenes", str(written), "--split", "mapkd_test", "--rules", "maptr", "--frames", "1"]
    assert cli.main([*arguments, "--vectors", "raster", "--backend", "torch", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["frames"] == 2 and summary["source"].endswith("mapkd_test (truth by maptr)")
    assert cli.main([*arguments[:3], "--split", "val"]) == 1
    assert "none of the 3 of this dataset" in capsys.readouterr().err
