# SPDX-License-Identifier: Apache-2.0
"""Every way in which the cameras are made worse, with its name, its severity and what it does to a frame.

The same frame under the same condition is always the same picture: the draw depends on both names and nothing else.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mapkd_core.robustness import pictures, rigs
from mapkd_core.types import Frame

_Spoil = Callable[[Frame, Frame, np.random.Generator], Frame]

PICTURES = (
    pictures.blur, pictures.dark, pictures.overexposed, pictures.jpeg, pictures.lens_dirt, pictures.rain,
)  # fmt: skip
SEVERITIES = (1, 2, 3)
CAMERAS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT")
# More than one at a time: two of a side, the way ahead, the way back; and any, by number.
GROUPS = {
    "left side": ("CAM_FRONT_LEFT", "CAM_BACK_LEFT"),
    "right side": ("CAM_FRONT_RIGHT", "CAM_BACK_RIGHT"),
    "front three": ("CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT"),
    "back three": ("CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT"),
    "all but the front": CAMERAS[1:],
}


@dataclass(frozen=True)
class Condition:
    """kind: clean, missing, any missing, or corruption. severity: 1 to 3, or how many cameras are missing."""

    kind: str
    name: str
    severity: int
    spoil: _Spoil

    @property
    def key(self) -> str:
        """Names it in results: "rain/2"."""
        return f"{self.name}/{self.severity}"

    def apply(self, frame: Frame, earlier: Frame, token: str, seed: int = 0) -> Frame:
        """frame: six cameras with pictures. earlier: the same cameras a moment before. token: names the frame."""
        drawn = [seed, zlib.crc32(token.encode()), zlib.crc32(self.key.encode())]
        return self.spoil(frame, earlier, np.random.default_rng(drawn))


def conditions() -> tuple[Condition, ...]:
    """All of them, clean first."""
    found = [Condition("clean", "clean", 0, lambda frame, earlier, rng: frame)]
    found += [_missing(name, (name,)) for name in CAMERAS]
    found += [_missing(name, cameras) for name, cameras in GROUPS.items()]
    found += [_any_missing(count) for count in range(2, len(CAMERAS))]
    found += [_of_pictures(change, severity) for change in PICTURES for severity in SEVERITIES]
    for severity in SEVERITIES:
        found += [_of_rig(name, spoil, severity) for name, spoil in _RIG.items()]
    return tuple(found)


def _missing(name: str, cameras: tuple[str, ...]) -> Condition:
    return Condition("missing", name, len(cameras), lambda frame, earlier, rng: rigs.without(frame, cameras))


def _any_missing(count: int) -> Condition:
    return Condition("any missing", "any", count, lambda frame, earlier, rng: rigs.without_some(frame, count, rng))


def _of_pictures(change: Callable[..., pictures.Image], severity: int) -> Condition:
    def spoil(frame: Frame, earlier: Frame, rng: np.random.Generator) -> Frame:
        cameras = [
            camera if camera.image is None else replace(camera, image=change(camera.pixels, severity, rng))
            for camera in frame.cameras
        ]
        return replace(frame, cameras=tuple(cameras))

    return Condition("corruption", change.__name__, severity, spoil)


_RIG: dict[str, Callable[[Frame, Frame, int, np.random.Generator], Frame]] = {
    "frozen": rigs.frozen,
    "swapped": lambda frame, earlier, severity, rng: rigs.swapped(frame, severity),
    "turned": lambda frame, earlier, severity, rng: rigs.turned(frame, severity, rng),
    "moved": lambda frame, earlier, severity, rng: rigs.moved(frame, severity, rng),
}


def _of_rig(name: str, spoil: Callable[..., Frame], severity: int) -> Condition:
    return Condition("corruption", name, severity, lambda frame, earlier, rng: spoil(frame, earlier, severity, rng))
