# SPDX-License-Identifier: Apache-2.0
"""The manifest of a set that mapkd wrote: SHA-256 of every file, and what made them. Real nuScenes has none."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "mapkd_manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """files: path relative to the root -> SHA-256. recipe: what the set was made from. scenes: name -> facts."""

    root: Path
    recipe: dict[str, Any]
    scenes: dict[str, dict[str, Any]]
    files: dict[str, str]

    @property
    def labelled(self) -> dict[str, tuple[str, ...]]:
        """Scene -> classes whose truth is known."""
        return {name: tuple(facts["labelled"]) for name, facts in self.scenes.items()}

    @property
    def digest(self) -> str:
        """One hash for the whole set."""
        return hashlib.sha256(json.dumps(self.files, sort_keys=True).encode()).hexdigest()

    def compare(self, name: str, raw: bytes) -> None:
        """ValueError where the bytes of a file are not those that were written."""
        if name not in self.files:
            raise ValueError(f"{self.root / name}: not in {NAME}; write the set again, or remove the file")
        if hashlib.sha256(raw).hexdigest() != self.files[name]:
            raise ValueError(
                f"{self.root / name}: damaged, its hash is not the one in {NAME}; remove {self.root} and write it again"
            )

    def verify(self, chosen: Callable[[str], bool] = lambda name: True) -> int:
        """Compare all chosen files; returns their number. FileNotFoundError and ValueError name the first bad one."""
        names = [name for name in self.files if chosen(name)]
        for name in names:
            path = self.root / name
            if not path.is_file():
                raise FileNotFoundError(f"{path}: missing, {NAME} lists it; remove {self.root} and write it again")
            self.compare(name, path.read_bytes())
        return len(names)


def read(root: Path) -> Manifest | None:
    """The manifest of a dataset, None where it has none; ValueError where it is damaged."""
    path = root / NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            raise ValueError(f"{path}: format {content['format']}, this mapkd reads {FORMAT}; write the set again")
        return Manifest(root, content["recipe"], content["scenes"], content["files"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a manifest ({error!r}); write the set again") from error


def write(root: Path, recipe: dict[str, Any], scenes: dict[str, dict[str, Any]], names: Iterable[str]) -> Manifest:
    """Hash the named files of a finished set and write its manifest."""
    files = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in sorted(names)}
    content = {"format": FORMAT, "recipe": recipe, "scenes": scenes, "files": files}
    (root / NAME).write_text(json.dumps(content, indent=1) + "\n")
    return Manifest(root, recipe, scenes, files)
