# SPDX-License-Identifier: Apache-2.0
"""A drive and the maps published for it as video and stills."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mapkd_core.bags.published import published_maps
from mapkd_core.bags.read import BagDrive, Truth
from mapkd_core.drawing import VideoWriter, contact_sheet
from mapkd_core.types import Frame, LocalMap

STILLS = 4


class Moment(NamedTuple):
    """A frame of the drive, the map that came for it, and the truth."""

    number: int
    frame: Frame
    predicted: LocalMap
    truth: Truth | None


def draw(bag: Path, published: Path, out: Path, rate_hz: float, every: int = 1) -> tuple[Path, list[Path]]:
    """Write the video of every `every`-th frame and some stills into `out`; frames without a map are left out.

    Raises ValueError where no map belongs to any frame.
    """
    maps = {local_map.stamp_ns: local_map for local_map in published_maps(published)}
    with BagDrive(bag) as drive:
        truths = drive.truth()
        moments = (
            Moment(number, frame, maps[frame.stamp_ns], truths.get(frame.stamp_ns))
            for number, frame in enumerate(drive.frames())
            if number % every == 0 and frame.stamp_ns in maps
        )
        return _write(moments, max(1, len(maps) // every), out, rate_hz / every)


def sheet(moment: Moment) -> NDArray[np.uint8]:
    """The picture of one moment."""
    truth = None if moment.truth is None else moment.truth.elements
    return contact_sheet(moment.frame, moment.predicted, truth, caption=f"frame {moment.number}")


def _write(moments: Iterator[Moment], count: int, out: Path, rate_hz: float) -> tuple[Path, list[Path]]:
    video, stills = out / "demo.webm", []
    wanted = {round((i + 0.5) * count / STILLS) for i in range(STILLS)}
    with VideoWriter(video, rate_hz) as writer, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        bar = tqdm(total=count, desc="video", unit="frame")
        while batch := list(islice(moments, 8)):
            for moment, picture in zip(batch, pool.map(sheet, batch)):
                if writer.frames in wanted or (not stills and not wanted):
                    stills.append(out / f"frame-{moment.number:04d}.png")
                    cv2.imwrite(str(stills[-1]), picture[..., ::-1])
                writer.add(picture)
                bar.update()
        bar.close()
        if not writer.frames:
            raise ValueError("no published map belongs to a frame of the drive; see the logs of the nodes")
    return video, stills
