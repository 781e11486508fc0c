# SPDX-License-Identifier: Apache-2.0
"""The files of one teacher's stored answers: a mapped array for each field, and one that says which rows are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.models.map_model import MapOutput
from mapkd_core.writing import aside


class AnswerStore:
    """Rows of one teacher's answers in `folder`.

    rows: how many there are to be. `read` gives the fields of a batch as tensors.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder, self.rows = folder, rows
        self._values: dict[str, NDArray[np.float16]] = {}
        self._done: dict[str, NDArray[np.bool_]] = {}

    def missing(self, fields: Iterable[str]) -> NDArray[np.int64]:
        """Rows that some of the fields lack."""
        there = np.ones(self.rows, bool)
        for name in _stored_names(fields):
            there &= self._done[name] if self._open(name) else False
        return np.flatnonzero(~there)

    def write(self, rows: NDArray[np.int64], output: MapOutput, fields: Iterable[str]) -> None:
        """Keep the fields of a batch; values beyond what float16 holds are cut."""
        for name, tensor in parts_of(output, fields).items():
            if not self._open(name):
                self._create(name, tuple(tensor.shape[1:]))
            limit = float(np.finfo(np.float16).max)
            self._values[name][rows] = tensor.float().clamp(-limit, limit).cpu().numpy().astype(np.float16)
            self._done[name][rows] = True

    def read(self, rows: Tensor, fields: Sequence[str]) -> dict[str, Any]:
        """field -> tensor B ... float32 on the device of `rows`; queries: a list of one (scores, points)."""
        at = rows.cpu().numpy()
        parts = {}
        for name in _stored_names(fields):
            self._open(name)
            parts[name] = torch.from_numpy(self._values[name][at].astype(np.float32)).to(rows.device)
        found: dict[str, Any] = {name: parts[name] for name in fields if name != "queries"}
        if "queries" in fields:
            found["queries"] = [(parts["scores"], parts["points"])]
        return found

    def _open(self, name: str) -> bool:
        path = self.folder / f"{name}.npy"
        if name not in self._values and path.is_file():
            self._values[name] = np.load(path, mmap_mode="r+")
            self._done[name] = np.load(self.folder / f"{name}.done.npy", mmap_mode="r+")
        return name in self._values

    def _create(self, name: str, shape: tuple[int, ...]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # The values last: they say that the field is there.
        for file, kind, size in ((f"{name}.done.npy", np.bool_, ()), (f"{name}.npy", np.float16, shape)):
            with aside(self.folder / file) as unfinished:
                np.lib.format.open_memmap(unfinished, "w+", kind, (self.rows, *size))
        self._open(name)


def _stored_names(fields: Iterable[str]) -> list[str]:
    return [part for name in fields for part in (("scores", "points") if name == "queries" else (name,))]


def parts_of(output: MapOutput, fields: Iterable[str]) -> dict[str, Tensor]:
    """Raises ValueError for a field that the teacher does not have."""
    parts = dict(zip(("scores", "points"), output.queries[-1], strict=True))
    found = {n: parts[n] if n in parts else getattr(output, n) for n in _stored_names(fields)}
    if absent := [name for name, tensor in found.items() if tensor is None]:
        raise ValueError(f"the teacher has no {absent[0]}: the scheme needs a teacher with that branch")
    return found
