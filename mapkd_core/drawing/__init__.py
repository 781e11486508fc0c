# SPDX-License-Identifier: Apache-2.0
"""Pictures that people look at: maps from above, maps on camera images, both on one sheet, sheets as a video."""

from mapkd_core.drawing.bev import bev_panel
from mapkd_core.drawing.cameras import draw_on_image
from mapkd_core.drawing.colours import colour_of
from mapkd_core.drawing.sheet import contact_sheet
from mapkd_core.drawing.under import Under
from mapkd_core.drawing.video import VideoWriter

__all__ = ["Under", "VideoWriter", "bev_panel", "colour_of", "contact_sheet", "draw_on_image"]
