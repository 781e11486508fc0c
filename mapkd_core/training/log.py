# SPDX-License-Identifier: Apache-2.0
"""What a run tells of itself: config.json, lines of log.jsonl, and curves where TensorBoard is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mapkd_core.config import TrainConfig, to_dict
from mapkd_core.training.parallel import Group
from mapkd_core.writing import write_json, write_text


class Log:
    """Of the first process of a group; the others write nothing. Curves lie in `out`/curves.

    step: from which the run goes on. What was told of later ones is dropped: they are taken again.
    """

    def __init__(self, out: Path, config: TrainConfig, group: Group, step: int = 0) -> None:
        self._file = out / "log.jsonl" if group.is_first else None
        if self._file is not None and self._file.is_file():
            _cut(self._file, step)
        self._curves = _curves(out / "curves", step) if group.is_first else None
        if group.is_first:
            write_json(out / "config.json", to_dict(config))

    def write(self, row: dict[str, Any]) -> None:
        """row: `step` and numbers."""
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(json.dumps(row) + "\n")
        if self._curves is not None:
            for name, value in row.items():
                if name != "step" and not isinstance(value, bool):
                    self._curves.add_scalar(name, value, row["step"])

    def close(self) -> None:
        if self._curves is not None:
            self._curves.close()


def _cut(file: Path, step: int) -> None:
    """Leaves the lines up to a step, without a final one, which is to come again, and one that a kill cut short."""
    kept = []
    for line in file.read_text().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["step"] <= step and "final" not in row:
            kept.append(line + "\n")
    write_text(file, "".join(kept))


def _curves(folder: Path, step: int) -> Any:
    """A writer of TensorBoard's, or None without the package."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), flush_secs=30, purge_step=step + 1)
