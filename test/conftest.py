# SPDX-License-Identifier: Apache-2.0
"""What every test gets: one thread per numeric library, repeatable examples, and the folder of shared data."""

from __future__ import annotations

import os
from pathlib import Path

# Before numpy and torch start their thread pools: tests run side by side, and small arrays gain nothing from threads.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# How long an example takes says nothing on a busy machine; a failure must show again in the next run.
settings.register_profile("mapkd", deadline=None, derandomize=True)
settings.load_profile("mapkd")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with scene0061/ and roads/: $MAPKD_SHARED, or shared/data beside the checkout. Skips where absent."""
    folder = Path(os.environ.get("MAPKD_SHARED", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; set MAPKD_SHARED to the folder that holds scene0061 and roads")
    return folder
