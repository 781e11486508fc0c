# SPDX-License-Identifier: Apache-2.0
"""Sets and networks that do not fit each other are told apart before the first step."""

from __future__ import annotations

import os
import resource
from dataclasses import replace

import numpy as np
import pytest

from mapkd_core.config import TrainConfig
from mapkd_core.data.batch import TrainingSet
from mapkd_core.data.fit import needed
from mapkd_core.data.samples import TRUTH_GRID, SampleFolder, write
from mapkd_core.grid import RANGES, BevGrid

STILL = {"mirror": False, "turn": 0.0, "shift": 0.0}


def test_without_augmentation_the_range_is_enough(tiny):
    for grid in RANGES.values():
        assert needed(TrainConfig(model=replace(tiny, grid=grid), **STILL)) == grid


def test_a_turned_and_shifted_range_needs_its_corners():
    """x: 30 cos 0.15 + 15 sin 0.15 + 1.5 = 33.405; y: 30 sin 0.15 + 15 cos 0.15 + 1.5 = 20.815; in cells of 0.15 m."""
    grid = needed(TrainConfig(turn=0.15, shift=1.5))
    np.testing.assert_allclose(grid.bounds, (-33.45, -20.85, 33.45, 20.85))
    quarter = needed(TrainConfig(turn=np.pi / 2, shift=0.0))
    assert quarter.x_max == pytest.approx(np.hypot(30, 15), abs=0.15)  # between the ends of the turn


def test_a_mirror_needs_both_sides(tiny):
    grid = BevGrid(-6.0, 6.0, -3.0, 9.0, 0.15)
    config = TrainConfig(model=replace(tiny, grid=grid), mirror=True, turn=0.0, shift=0.0)
    assert needed(config).bounds == (-6.0, -9.0, 6.0, 9.0)


def test_a_rendered_set_reaches_as_before_and_another_as_it_says(tmp_path, make_sample):
    write(tmp_path / "rendered", "a", [make_sample()])
    assert "reach" not in np.load(tmp_path / "rendered" / "a.truth.npz")
    assert SampleFolder(tmp_path / "rendered").reach() == TRUTH_GRID
    assert SampleFolder(tmp_path / "rendered").reach(of_layers=True).bounds == (-60.0, -60.0, 60.0, 60.0)
    write(tmp_path / "far", "a", [make_sample()], RANGES["240x60"])
    assert SampleFolder(tmp_path / "far").reach() == SampleFolder(tmp_path / "far").reach(True) == RANGES["240x60"]
    write(tmp_path / "far", "b", [make_sample()])
    with pytest.raises(ValueError, match="mixes worlds whose truth reaches as rendered and"):
        SampleFolder(tmp_path / "far")


def test_a_range_beyond_the_truth_is_refused(tmp_path, make_sample, tiny):
    write(tmp_path, "a", [make_sample()])
    far = TrainConfig(model=replace(tiny, grid=BevGrid(-60.0, 60.0, -30.0, 30.0, 1.5)), **STILL)
    with pytest.raises(ValueError, match=r"reaches x -39\.\.39, y -24\.\.24 m; .* needs x -60\.\.60, y -30\.\.30 m"):
        TrainingSet(tmp_path, far)
    with pytest.raises(ValueError, match=r"shifts of 40 m needs x -46\.\.46"):
        TrainingSet(tmp_path, TrainConfig(model=tiny, mirror=False, turn=0.0, shift=40.0))


def test_pictures_of_another_size_are_refused(tmp_path, make_sample, tiny):
    write(tmp_path, "a", [make_sample()])
    with pytest.raises(ValueError, match=r"are 96 x 64 px, the network's 128 x 64: set model\.image_width=96"):
        TrainingSet(tmp_path, TrainConfig(model=replace(tiny, image_width=128)))


def test_missing_pictures_are_named(tmp_path, make_sample):
    write(tmp_path, "a", [make_sample()])
    (tmp_path / "a.images.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.images\.npy is missing beside its truth"):
        SampleFolder(tmp_path)


def test_many_worlds_are_more_than_a_process_may_have_open(tmp_path, make_sample):
    """nuScenes has 700 scenes for training, each of two files, and most machines allow 1024."""
    write(tmp_path, "00", [make_sample()])
    for part in ("images.npy", "truth.npz"):
        for number in range(1, 60):
            (tmp_path / f"{number:02d}.{part}").symlink_to(tmp_path / f"00.{part}")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 30, hard))
    try:
        folder = SampleFolder(tmp_path)
        assert sum(int(folder[i].prepared.images.any()) for i in range(60)) == 60
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
