# SPDX-License-Identifier: Apache-2.0
"""Tokens of nuScenes' form, 32 hexadecimal digits, made from what they name: the same set has the same tokens."""

from __future__ import annotations

import hashlib


def token(*words: object) -> str:
    """One token per sequence of words."""
    return hashlib.md5("/".join(map(str, words)).encode(), usedforsecurity=False).hexdigest()
