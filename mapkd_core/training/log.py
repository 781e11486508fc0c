# SPDX-License-Identifier: Apache-2.0
"""What a run tells of itself: config.json, lines of log.jsonl, and curves where TensorBoard is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mapkd_core.config import TrainConfig, to_dict
from mapkd_core.training.parallel import Group
from mapkd_core.writing import write_json


class Log:
    """Of the first process of a group; the others write nothing. Curves lie in `out`/curves."""

    def __init__(self, out: Path, config: TrainConfig, group: Group) -> None:
        self._file = out / "log.jsonl" if group.is_first else None
        self._curves = _curves(out / "curves") if group.is_first else None
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


def _curves(folder: Path) -> Any:
    """A writer of TensorBoard's, or None without the package."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), flush_secs=30)
