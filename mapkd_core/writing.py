# SPDX-License-Identifier: Apache-2.0
"""Files are written aside and then renamed: whoever looks sees the old file or the new one, never half of one."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A hidden path beside `path`, with its suffix, to be written in the block; it gets the name `path` at the end.

    After an error nothing is left of it, and what was at `path` stays. Folders are made where absent. Two processes
    that write the same file do not disturb each other; the last one counts.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """UTF-8, whole or not at all."""
    with aside(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any, indent: int | None = 1) -> None:
    """With a line end, whole or not at all. indent: None for one long line."""
    write_text(path, json.dumps(content, indent=indent) + "\n")
