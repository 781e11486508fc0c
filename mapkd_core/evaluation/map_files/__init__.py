# SPDX-License-Identifier: Apache-2.0
"""Maps of many frames in one JSON file, by mapkd or by others: truth and predictions for `mapkd score`."""

from mapkd_core.evaluation.map_files.maps import MapFile, ScoredElement, write_maps
from mapkd_core.evaluation.map_files.read import read_maps

__all__ = ["MapFile", "ScoredElement", "read_maps", "write_maps"]
