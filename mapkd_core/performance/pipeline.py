# SPDX-License-Identifier: Apache-2.0
"""JPEG bytes to map, as a vehicle does it: the pictures are decoded side by side, and no larger than is needed.

With a network on a GPU that decodes JPEGs all of them are decoded there at once (`data.device_pictures`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mapkd_core.data.device_pictures import OnDevice
from mapkd_core.data.image_codec import decode_compressed
from mapkd_core.data.prepare import reduced, reduction
from mapkd_core.data.reduced import reduction_for
from mapkd_core.mapper import Mapper
from mapkd_core.types import Camera, Frame, LocalMap


class JpegPipeline:
    """cameras: calibration at the JPEGs' full size. threads: of the decoder.

    is_reduced: decode at the fraction of the size that `reduction` allows; otherwise whole.
    """

    def __init__(self, mapper: Mapper, cameras: Sequence[Camera], threads: int, is_reduced: bool = True) -> None:
        self._mapper, self._cameras = mapper, tuple(cameras)
        self._pool = ThreadPoolExecutor(threads, "decode")
        reduction_here = reduction_for(mapper.config, is_reduced, mapper.device)
        self._on_device = reduction_here if isinstance(reduction_here, OnDevice) else None
        self.factors = [reduction(c.width, c.height, mapper.config) if is_reduced else 1 for c in self._cameras]

    def frame(self, jpegs: Sequence[bytes], stamp_ns: int = 0) -> Frame:
        """The frame of a JPEG per camera, in their order. Raises ValueError for damaged data."""
        if self._on_device is not None:
            pictures = self._on_device.pictures(jpegs)  # all at once
            return Frame(tuple(p.of(camera) for p, camera in zip(pictures, self._cameras, strict=True)), stamp_ns)
        images = self._pool.map(lambda job: decode_compressed("jpeg", job[0], reduce=job[1]), zip(jpegs, self.factors))
        cameras = (
            replace(camera, image=image) if factor == 1 else reduced(camera, image, factor)
            for camera, image, factor in zip(self._cameras, images, self.factors, strict=True)
        )
        return Frame(tuple(cameras), stamp_ns)

    def __call__(self, jpegs: Sequence[bytes]) -> LocalMap:
        """The map; its times_ms begin with `decode` and end with `total`."""
        start = time.perf_counter()
        frame = self.frame(jpegs)
        decoded = time.perf_counter()
        found = self._mapper.predict(frame)
        total = 1e3 * (time.perf_counter() - start)
        times = {"decode": 1e3 * (decoded - start), **found.times_ms, "total": total}
        return replace(found, times_ms=times)
