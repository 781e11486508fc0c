# SPDX-License-Identifier: Apache-2.0
"""What is written is there as a whole or not at all, and leaves nothing beside it."""

from __future__ import annotations

import json

import pytest

from mapkd_core.writing import aside, write_json, write_text


def test_the_name_appears_when_the_block_is_done(tmp_path):
    path = tmp_path / "new" / "a.tar.gz"
    with aside(path) as unfinished:
        unfinished.write_bytes(b"half")
        assert not path.exists() and unfinished.parent == path.parent and unfinished.suffix == ".gz"
        unfinished.write_bytes(b"whole")
    assert path.read_bytes() == b"whole" and list(path.parent.iterdir()) == [path]


def test_after_an_error_the_old_file_stays_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="no more space"), aside(path) as unfinished:
        unfinished.write_text("new")
        raise RuntimeError("no more space")
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(path, {"a": object()})
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_nothing_written_is_an_error_not_an_empty_file(tmp_path):
    with pytest.raises(FileNotFoundError), aside(tmp_path / "a.txt"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_text_and_json(tmp_path):
    write_json(tmp_path / "a.json", {"für": [1, None]}, indent=None)
    assert json.loads((tmp_path / "a.json").read_text()) == {"für": [1, None]}
    assert (tmp_path / "a.json").read_text().count("\n") == 1
