# SPDX-License-Identifier: Apache-2.0
"""Who may use which procedural world: the one table of seed ranges. A world is made from its seed alone."""

from __future__ import annotations

TRAINING = range(0, 100_000)
VALIDATION = range(100_000, 200_000)  # looked at during training, to choose
TEST = range(200_000, 300_000)  # scored, never chosen by
DEMO = range(300_000, 400_000)

SPLITS = {"training": TRAINING, "validation": VALIDATION, "test": TEST, "demo": DEMO}


def split_of(seed: int) -> str:
    """Name of the split a seed belongs to, "none" beyond the table."""
    return next((name for name, seeds in SPLITS.items() if seed in seeds), "none")


def check(first_seed: int, worlds: int) -> str:
    """The one split that holds all of these seeds. Raises ValueError where the range crosses from one into another."""
    first, last = split_of(first_seed), split_of(first_seed + worlds - 1)
    if first != last or first_seed < 0:
        limits = ", ".join(f"{name} {seeds.start}..{seeds.stop - 1}" for name, seeds in SPLITS.items())
        raise ValueError(
            f"seeds {first_seed}..{first_seed + worlds - 1} reach from {first} into {last}; the splits are {limits}"
        )
    return first
