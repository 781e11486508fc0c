# SPDX-License-Identifier: Apache-2.0
"""Documents agree with the code and with the results they were made from."""

from __future__ import annotations

import json
import re

import pytest

from mapkd_core import cli
from mapkd_core.commands.readme_blocks import BLOCKS
from mapkd_core.commands.readme_tables import DOCUMENTS, PLOTS, ROOT, rewritten
from mapkd_core.mapper import SHIPPED

REPORT = {
    "source": "1 road maps", "size": "network",
    "worlds": {"a": {"miou": 0.5, "map": None}},
    "vectors": {
        "query": {
            "classes": ["divider", "boundary"], "frames": 3, "miou": 0.45, "map": 0.2,
            "iou": {"divider": 0.4, "boundary": 0.5}, "class_ap": {"divider": 0.2, "boundary": None},
            "iou_by_distance": {"0-10": {"divider": 0.6, "boundary": None}},
            "ap": {"divider": {"0.5": 0.1, "1": 0.3}, "boundary": {"0.5": None, "1": None}},
        }
    },
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_are_as_their_results_say(name):
    text = (ROOT / name).read_text()
    assert rewritten(text) == text, "run python -m mapkd_core.commands.readme_tables"


@pytest.mark.parametrize("image", PLOTS)
def test_plots_are_as_their_results_say(image, tmp_path):
    """Text and shapes; places to a hundredth, since processors round differently."""
    matplotlib = pytest.importorskip("matplotlib")
    shipped = (ROOT / image).read_text()
    if f"Matplotlib v{matplotlib.__version__}," not in shipped:
        pytest.skip(f"{image} was drawn by another matplotlib than {matplotlib.__version__}")
    file, draw = PLOTS[image]
    draw(json.loads((ROOT / file).read_text()), tmp_path / "plot.svg")
    number = re.compile(r"-?\d+\.\d+")
    drawn = (tmp_path / "plot.svg").read_text()
    # Names inside are made of the shapes' numbers.
    bare = [re.sub(r"(#|id=\")[mpcDC]\w+", "", number.sub("", text)) for text in (drawn, shipped)]
    assert bare[0] == bare[1], "run python -m mapkd_core.commands.readme_tables"
    found, expected = ([float(value) for value in number.findall(text)] for text in (drawn, shipped))
    assert found == pytest.approx(expected, abs=0.01)


def test_every_command_is_in_the_readme_and_the_changelog():
    readme, changelog = (ROOT / "README.md").read_text(), (ROOT / "CHANGELOG.rst").read_text()
    assert [c for c in cli.COMMANDS if f"`{c}`" not in readme] == []
    assert [c for c in cli.COMMANDS if not re.search(rf"\b{c}\b", changelog)] == []


def test_links_of_the_documents_lead_somewhere():
    docs = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))
    for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", *docs):
        folder = (ROOT / name).parent
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / name).read_text()):
            if target.endswith(".jpg") and not SHIPPED.is_file():
                continue  # the picture is made with the weights
            assert (folder / target).exists(), f"{name} links to {target}"


def test_a_block_is_made_from_its_json(tmp_path):
    path = tmp_path / BLOCKS["scores-roads"][0]
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(REPORT))
    text = rewritten("a\n<!-- begin scores-roads -->\nold\n<!-- end scores-roads -->\nb\n", tmp_path)
    assert "old" not in text and text.startswith("a\n") and text.endswith("b\n")
    rows = {
        row.split("|")[1].strip(): [cell.strip() for cell in row.split("|")[2:-1]]
        for row in text.splitlines()
        if "|" in row
    }
    assert rows["divider"] == ["10.0", "30.0", "20.0"], "the last table is that of the AP"
    assert rows["boundary"] == ["-", "-", "-"] and rows["**mean**"] == ["10.0", "30.0", "**20.0**"]
    assert re.search(r"\| divider +\| +40\.0 \| +60\.0 \|", text) and "3 frames" in text
    assert rewritten(text, tmp_path) == text


def test_an_unknown_block_is_refused():
    with pytest.raises(ValueError, match="block 'speeed' is unknown"):
        rewritten("<!-- begin speeed -->\n<!-- end speeed -->")


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    """As it stands there, on a frame folder of that name."""
    from mapkd_core.bench.stages import rendered_frame
    from mapkd_core.data.frame_folder import FrameFolder, write_frame_folder

    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    frame = rendered_frame()
    write_frame_folder(FrameFolder(frame, frame.cameras, {}, name="my_frame"), tmp_path / "my_frame")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    assert any(c in capsys.readouterr().out for c in ("divider", "boundary"))
