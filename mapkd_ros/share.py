# SPDX-License-Identifier: Apache-2.0
"""Where config/ and launch/ lie: in the checkout, or in share/mapkd of an installed workspace."""

from __future__ import annotations

import os
from pathlib import Path


def share(relative: str) -> Path:
    """Path of a shipped file such as config/node/map.yaml; FileNotFoundError says where it was looked for."""
    prefixes = [prefix for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    roots = [Path(__file__).parents[1], *(Path(prefix, "share", "mapkd") for prefix in prefixes)]
    for root in roots:
        if (root / relative).is_file():
            return root / relative
    raise FileNotFoundError(f"{relative} is in none of {', '.join(map(str, roots))}; source the installed workspace")
