# SPDX-License-Identifier: Apache-2.0
import pytest

from mapkd_core.drawing.figures import drawn

matplotlib = pytest.importorskip("matplotlib")
style = pytest.importorskip("matplotlib.style")


def _plot(path):
    with drawn(path, 3, 2) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [1, 0], label="a line")
        axes.legend()
    return path.read_bytes()


def test_a_style_of_the_process_is_neither_used_nor_lost(tmp_path):
    """nuscenes-devkit sets one when its map API is imported: the same numbers would give another picture."""
    plain = _plot(tmp_path / "plain.svg")
    with style.context("seaborn-v0_8-whitegrid"):
        before = dict(matplotlib.rcParams)
        assert _plot(tmp_path / "styled.svg") == plain
        assert dict(matplotlib.rcParams) == before


def test_a_figure_that_fails_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError), drawn(tmp_path / "plot.svg", 3, 2):
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []
