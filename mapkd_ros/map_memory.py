# SPDX-License-Identifier: Apache-2.0
"""The node's memory of the raster: it tells on where a camera was lost, see `mapkd_core.tracking.raster_memory`."""

from __future__ import annotations

import time
from dataclasses import replace

from mapkd_core.geometry import Matrix
from mapkd_core.tracking.raster_memory import MemoryOptions, RasterMemory
from mapkd_core.types import LocalMap
from mapkd_ros.parameter_groups import MemoryParameters


class MapMemory:
    """`fill` every map before it goes out. share: of the last map's cells that are remembered, 0 to 1."""

    def __init__(self, parameters: MemoryParameters) -> None:
        self._parameters, self._memory = parameters, RasterMemory(_options(parameters))
        self._forget = False

    @property
    def share(self) -> float:
        return self._memory.remembered

    def change(self, parameters: MemoryParameters) -> None:
        """From the next map on, which begins with an empty memory where anything changed."""
        self._parameters = parameters

    def forget(self) -> None:
        """Begin anew with the next map; called by the executor while the worker may be filling one."""
        self._forget = True

    def fill(self, local_map: LocalMap, odom_T_ego: Matrix | None, is_anew: bool) -> LocalMap:
        """is_anew: stamps began anew before this map. Its times_ms get `memory`."""
        parameters, begin_s = self._parameters, time.perf_counter()
        options = _options(parameters)
        if is_anew or self._forget or self._memory.options != options or not parameters.enabled:
            self._forget, self._memory = False, RasterMemory(options)
        if not parameters.enabled:
            return local_map
        filled = self._memory.fill(local_map, odom_T_ego)
        return replace(filled, times_ms={**filled.times_ms, "memory": 1e3 * (time.perf_counter() - begin_s)})


def _options(parameters: MemoryParameters) -> MemoryOptions:
    return MemoryOptions(max_age_s=parameters.max_age_s, always=parameters.always)
