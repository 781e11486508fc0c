# SPDX-License-Identifier: Apache-2.0
"""Made-up road maps: everything about a place and a drive through it, from one seed."""

from mapkd_core.worlds.procedural.make import make_road_map

__all__ = ["make_road_map"]
