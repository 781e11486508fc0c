# SPDX-License-Identifier: Apache-2.0
"""Forms of arguments that several commands share."""

from __future__ import annotations


def size(text: str) -> tuple[int, int]:
    """ "1600x900" -> (1600, 900). Raises ValueError for anything else."""
    width, separator, height = text.partition("x")
    if not (separator and width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise ValueError(f"size = {text!r}; expected WIDTHxHEIGHT in pixels, e.g. 1600x900")
    return int(width), int(height)
