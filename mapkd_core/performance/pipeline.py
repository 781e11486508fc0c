# SPDX-License-Identifier: Apache-2.0
"""JPEG bytes to map, as a vehicle does it: pictures are decoded and scaled side by side, no larger than is needed.

With a network on a GPU that decodes JPEGs all of them are decoded there at once (`data.device_pictures`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mapkd_core.data.device_pictures import OnDevice
from mapkd_core.data.reduced import Fitted, Picture, decode, fitted, reduction_for
from mapkd_core.mapper import Mapper
from mapkd_core.types import Camera, Frame, LocalMap


class JpegPipeline:
    """cameras: calibration at the JPEGs' full size. threads: of the decoder.

    is_reduced: decode at the fraction of the size that `reduction` allows; otherwise whole.
    """

    def __init__(self, mapper: Mapper, cameras: Sequence[Camera], threads: int, is_reduced: bool = True) -> None:
        self._mapper, self._cameras = mapper, tuple(cameras)
        self._pool = ThreadPoolExecutor(threads, "decode")
        self._reduction = reduction_for(mapper.config, is_reduced, mapper.device)

    def frame(self, jpegs: Sequence[bytes], stamp_ns: int = 0, cameras: Sequence[Camera] | None = None) -> Frame:
        """The frame of a JPEG per camera, in their order.

        cameras: the same where they were this time, with the vehicle's motion between the pictures in their poses; as
        given to the constructor if absent. Raises ValueError for damaged data, and for too few or too many JPEGs.
        """
        return self._frame(jpegs, stamp_ns, cameras)[0]

    def _frame(self, jpegs: Sequence[bytes], stamp_ns: int, cameras: Sequence[Camera] | None) -> tuple[Frame, float]:
        """The frame, and the share of the threads' time that was scaling and cutting; the rest is decoding."""
        pictures: Iterable[Picture | Fitted]
        share = 0.0
        if isinstance(self._reduction, OnDevice):
            pictures = self._reduction.pictures(jpegs)  # all at once
        else:
            done = list(self._pool.map(self._picture, jpegs))
            pictures = [picture for picture, _, _ in done]
            decode_s, resize_s = sum(seconds for _, seconds, _ in done), sum(seconds for _, _, seconds in done)
            share = resize_s / max(decode_s + resize_s, 1e-9)
        placed = self._cameras if cameras is None else cameras
        return Frame(tuple(p.of(camera) for p, camera in zip(pictures, placed, strict=True)), stamp_ns), share

    def _picture(self, data: bytes) -> tuple[Picture | Fitted, float, float]:
        """At the network's size, and the seconds that decoding and scaling took."""
        start = time.perf_counter()
        picture = decode("jpeg", data, self._reduction)
        decoded = time.perf_counter()
        small = fitted(picture, self._reduction)
        return small, decoded - start, time.perf_counter() - decoded

    def __call__(self, jpegs: Sequence[bytes], cameras: Sequence[Camera] | None = None) -> LocalMap:
        """The map; its times_ms begin with `decode` and `resize` and end with `total`.

        Both go on side by side, picture by picture: the time is shared out by what each took of the threads.
        """
        start = time.perf_counter()
        frame, share = self._frame(jpegs, 0, cameras)
        pictures_ms = 1e3 * (time.perf_counter() - start)
        found = self._mapper.predict(frame)
        total = 1e3 * (time.perf_counter() - start)
        resize_ms = share * pictures_ms
        times = {"decode": pictures_ms - resize_ms, "resize": resize_ms, **found.times_ms, "total": total}
        return replace(found, times_ms=times)
