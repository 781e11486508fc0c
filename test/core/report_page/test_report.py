# SPDX-License-Identifier: Apache-2.0
"""The page of an evaluation: its numbers, its curves, its worst frames, and nothing from outside."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser

import pytest

from mapkd_core import cli

AP = {"divider": {"0.5": 0.1, "1": 0.3, "1.5": 0.5}, "boundary": {"0.5": None, "1": None, "1.5": None}}
REPORT = {
    "classes": ["divider", "boundary"], "frames": 12, "miou": 0.45, "map": 0.3, "protocol": "MapTR (100 points)",
    "iou": {"divider": 0.4321, "boundary": 0.5}, "class_ap": {"divider": 0.3, "boundary": None}, "ap": AP,
    "iou_by_distance": {"0-10": {"divider": 0.6, "boundary": 0.7}, "10-20": {"divider": 0.25, "boundary": None}},
    "truths": {"divider": 1234, "boundary": 0}, "detections": {"divider": 40, "boundary": 2}, "notes": ["a < b"],
}  # fmt: skip
DIFFICULTY = {
    "iou_by_light": {"night": {"divider": 0.1, "boundary": None}, "sun": {"divider": 0.5, "boundary": 0.6}},
    "frames_by_light": {"night": 1, "sun": 11}, "truth_by_sight": {"seen": 0.75, "hidden": 0.25},
    "iou_by_sight": {"seen": {"divider": 0.5, "boundary": 0.7}, "hidden": {"divider": 0.02, "boundary": 0.04}},
    "ece": {"cells": {"divider": 0.01, "boundary": 0.02}, "lines": {"divider": 0.3, "boundary": None}},
}  # fmt: skip
DIAGRAM = {"low": [0.0, 0.5], "count": [10, 5], "score": [0.25, 0.75], "hit_rate": [0.2, None]}
JPEG = b"\xff\xd8\xff picture"


def frame(number, miou):
    return {"token": f"w-{number}", "world": "w", "truths": 3, "vectors": {"query": {"miou": miou, "map": 0.0}}}


@pytest.fixture
def evaluation(tmp_path):
    """Twelve frames, all of them drawn, though a page shows ten."""
    pictures = tmp_path / "worst"
    pictures.mkdir()
    for number in range(12):
        (pictures / f"{number}.jpg").write_bytes(JPEG + bytes([number]))
    return {
        "source": "roads & <b>worlds</b>", "sha256": "ab12", "vectors": {"query": REPORT},
        "worlds": {"good": {"miou": 0.5, "map": None}, "bad": {"miou": 0.125, "map": 0.1}},
        "curves": {"query": {"divider": {"0.5": [[0.0, 1.0], [0.4, 0.5]]}, "boundary": {"0.5": []}}},
        "each_frame": [frame(number, number / 20) for number in range(12)],
        "worst": [{"token": f"w-{n}", "picture": f"worst/{n}.jpg"} for n in range(12)],
    }  # fmt: skip


class Page(HTMLParser):
    """Rows of tables, and the sources of pictures; whatever else asks for an address is collected."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.images, self.addresses, self.open = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        for name, value in attributes:
            if tag == "img" and name == "src":
                self.images.append(value)
            elif re.search(r"https?:|//|\burl\((?!#)", value or "") or (name.endswith("href") and value[0] != "#"):
                self.addresses.append((tag, name, value))

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)


def made(evaluation, tmp_path, capsys):
    (tmp_path / "report.json").write_text(json.dumps(evaluation))
    arguments = ["report", str(tmp_path / "report.json"), str(tmp_path / "out" / "report.html"), "--json"]
    assert cli.main(arguments) == 0
    summary = json.loads(capsys.readouterr().out)
    text = (tmp_path / "out" / "report.html").read_text()
    assert summary["bytes"] == len(text.encode())
    return summary, text, Page(text)


def test_the_tables_hold_the_evaluations_numbers(evaluation, tmp_path, capsys):
    _, text, page = made(evaluation, tmp_path, capsys)
    assert ["query", "45.0", "30.0", "12", "MapTR (100 points)"] in page.rows
    assert ["divider", "43.2", "60.0", "25.0", "10.0", "30.0", "50.0", "30.0", "1,234", "40"] in page.rows
    assert ["boundary", "50.0", "70.0", "–", "–", "–", "–", "–", "0", "2"] in page.rows
    assert page.rows.index(["bad", "12.5", "10.0"]) < page.rows.index(["good", "50.0", "–"])
    assert "roads &amp; &lt;b&gt;worlds" in text and "<b>" not in text and "a &lt; b" in text


def test_light_sight_and_calibration_have_tables_and_diagrams(evaluation, tmp_path, capsys):
    evaluation["vectors"]["query"] = REPORT | DIFFICULTY
    evaluation["reliability"] = {"query": {"cells": {"divider": DIAGRAM}, "lines": {"divider": DIAGRAM}}}
    summary, text, page = made(evaluation, tmp_path, capsys)
    assert ["night", "1", "10.0", "–", "10.0"] in page.rows and ["sun", "11", "50.0", "60.0", "55.0"] in page.rows
    assert ["seen", "75.0", "50.0", "70.0", "60.0"] in page.rows and [
        "hidden",
        "25.0",
        "2.0",
        "4.0",
        "3.0",
    ] in page.rows
    assert ["cells", "1.0", "2.0", "1.5"] in page.rows and ["lines", "30.0", "–", "30.0"] in page.rows
    assert summary["curves"] == 6 and "Reliability of the scores of cells" in text


def test_curves_are_drawn_and_differ_in_the_names_of_their_parts(evaluation, tmp_path, capsys):
    summary, text, _ = made(evaluation, tmp_path, capsys)
    assert summary["curves"] == text.count("<svg") == text.count("</svg>") == 4
    for title in ("AP by threshold", "IoU by distance", "Precision and recall at 0.5 m", "mIoU of single frames"):
        assert title in text
    clips = re.findall(r'<clipPath id="([^"]+)"', text)
    assert len(clips) >= 4 and len(set(clips)) == len(clips)
    again = made(evaluation, tmp_path, capsys)[1]
    assert again == text


def test_the_ten_worst_frames_are_inside_the_file_and_nothing_is_outside(evaluation, tmp_path, capsys):
    summary, text, page = made(evaluation, tmp_path, capsys)
    assert summary["pictures"] == len(page.images) == 10
    for number, source in enumerate(page.images):
        kind, coded = source.split(",")
        assert kind == "data:image/jpeg;base64" and base64.b64decode(coded) == JPEG + bytes([number])
    assert page.addresses == [] and "http" not in text and "<script" not in text
    assert text.index("1. w-0") < text.index("2. w-1") < text.index("10. w-9") and "w-10" not in text


def test_an_evaluation_without_frames_says_how_to_get_them(evaluation, tmp_path, capsys):
    del evaluation["each_frame"], evaluation["worst"], evaluation["curves"]
    summary, text, _ = made(evaluation, tmp_path, capsys)
    assert summary["curves"] == 2 and "--per-frame" in text


def test_scores_of_files_make_a_page_too(tmp_path, capsys):
    _, _, page = made(REPORT | {"protocol": "maptr", "as_released": False}, tmp_path, capsys)
    assert ["maptr", "45.0", "30.0", "12", "maptr"] in page.rows


def test_bad_input_is_named(evaluation, tmp_path, capsys):
    good = tmp_path / "good.json"
    (tmp_path / "worst" / "3.jpg").unlink()
    good.write_text(json.dumps(evaluation))
    for name, content, words in [
        ("good.json", None, "3.jpg: no such picture"),
        ("none.json", None, "no evaluation at"),
        ("cut.json", '{"vectors": ', "is not JSON"),
        ("list.json", "[]", "holds a list"),
        ("other.json", '{"steps": 3}', "it has the keys steps"),
    ]:
        if content is not None:
            (tmp_path / name).write_text(content)
        assert cli.main(["report", str(tmp_path / name), str(tmp_path / "page.html")]) == 1
        assert words in capsys.readouterr().err
    assert cli.main(["report", str(good), str(tmp_path / "page.txt")]) == 1
    assert "must end in .html" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()
