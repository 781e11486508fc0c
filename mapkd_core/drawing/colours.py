# SPDX-License-Identifier: Apache-2.0
"""The colours, RGB 0..255: the one place for pictures, markers and label images."""

from __future__ import annotations

import zlib

Colour = tuple[int, int, int]

CLASS_COLOURS: dict[str, Colour] = {
    "divider": (255, 170, 40),
    "ped_crossing": (70, 160, 255),
    "boundary": (70, 225, 100),
}
# What a map that was made before the drive says: navigation map, older HD map.
PRIOR_COLOURS: dict[str, Colour] = {"sd": (240, 110, 220), "hd": (110, 230, 230)}
GROUND_POINT: Colour = (74, 84, 104)
RAISED_POINT: Colour = (176, 184, 150)
BACKGROUND: Colour = (22, 24, 29)
UNOBSERVED: Colour = (52, 40, 44)
RASTER_LINE: Colour = (48, 52, 60)
TEXT: Colour = (225, 228, 232)
FAINT_TEXT: Colour = (140, 146, 156)
EGO: Colour = (235, 235, 240)
WARNING: Colour = (255, 90, 80)

_SPARE: tuple[Colour, ...] = ((240, 110, 220), (250, 230, 90), (110, 230, 230), (190, 140, 255), (255, 130, 110))


def colour_of(class_name: str) -> Colour:
    """RGB of a class; a class that is not known here always gets the same one of the spare colours."""
    known = CLASS_COLOURS.get(class_name)
    return known if known else _SPARE[zlib.crc32(class_name.encode()) % len(_SPARE)]
