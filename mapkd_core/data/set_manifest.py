# SPDX-License-Identifier: Apache-2.0
"""What a set of samples says about itself: what it was made from, and the SHA-256 of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mapkd_core.reading import parse_json

NAME = "manifest.json"


def read(folder: Path) -> dict[str, Any] | None:
    """The manifest of a set, None where it has none; ValueError where it is damaged."""
    path = folder / NAME
    if not path.is_file():
        return None
    content = parse_json(path.read_text(errors="replace"), str(path))
    if not isinstance(content, dict):
        raise ValueError(f"{path}: a {type(content).__name__} and no manifest; write the set again")
    return content


def hashes(folder: Path) -> dict[str, str]:
    """File -> SHA-256 of the arrays in a folder of samples."""
    files = sorted(p for p in folder.iterdir() if p.suffix in (".npy", ".npz") and not p.name.startswith("."))
    return {path.name: hash_of(path) for path in files}


def verify(folder: Path, files: Mapping[str, str], remedy: str) -> None:
    """Raises ValueError, naming the first file that is missing or not as listed, and the remedy."""
    for name, digest in files.items():
        path = folder / name
        if not path.is_file() or hash_of(path) != digest:
            raise ValueError(f"{path} is {'changed' if path.is_file() else 'missing'}; {remedy}")


def hash_of(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
