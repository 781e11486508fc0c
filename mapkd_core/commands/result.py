# SPDX-License-Identifier: Apache-2.0
"""What a command hands back to the command line."""

from __future__ import annotations

from typing import Any, NamedTuple


class Result(NamedTuple):
    """summary: JSON-ready, printed on one line with --json. text: what a person reads otherwise."""

    summary: dict[str, Any]
    text: str
