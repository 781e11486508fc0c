# SPDX-License-Identifier: Apache-2.0
"""Frames -> a video file, with what every OpenCV wheel can encode.

.webm: VP8, plays in browsers, VLC and mpv; about 0.1 s for a sheet of 1920 x 576, the first choice for people.
.mp4: MPEG-4 part 2, since no wheel carries an H.264 encoder: VLC, mpv and ffplay show it, browsers do not; 0.02 s.
.gif: where Pillow is installed; plays everywhere, also in a README on GitHub, but 128 colours, large and slow.
FFmpeg's line "tag 0x30385056/'VP80' is not supported" on stderr means nothing: the container has its own tag.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_CODECS = {".webm": "VP80", ".mp4": "mp4v", ".avi": "MJPG"}


class VideoWriter:
    """Use as a context manager; `add` RGB frames of one size. The file appears under its name when it is complete.

    Raises ValueError for an unknown ending and for a frame of another size, RuntimeError where the codec is missing.
    """

    def __init__(self, path: Path | str, rate_hz: float = 12.0) -> None:
        self._path = Path(path)
        if self._path.suffix not in (*_CODECS, ".gif"):
            raise ValueError(f"no video format for {self._path.name!r}: end it in {', '.join((*_CODECS, '.gif'))}")
        self._rate_hz = rate_hz
        self._aside = self._path.with_name(f".{self._path.stem}.part{self._path.suffix}")
        self._size: tuple[int, int] | None = None
        self._encoder: cv2.VideoWriter | None = None
        self._pictures: list[Any] = []
        self.frames = 0

    def add(self, image: NDArray[np.uint8]) -> None:
        """One frame, RGB uint8 [H, W, 3]; the first one sets the size."""
        size = (image.shape[1], image.shape[0])
        if self._size is None:
            self._size = size
            self._write = self._open(size)
        if size != self._size:
            raise ValueError(
                f"frame {self.frames} is {size[0]} x {size[1]}, the video {self._size[0]} x {self._size[1]}"
            )
        self._write(image)
        self.frames += 1

    def close(self) -> None:
        """Finish the file; without frames there is none."""
        if self._encoder is not None:
            self._encoder.release()
        if self._pictures:
            first, *others = self._pictures
            first.save(self._aside, save_all=True, append_images=others, duration=round(1000 / self._rate_hz), loop=0)
        if self.frames:
            self._aside.replace(self._path)
        self.frames = 0

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        elif self._encoder is not None:  # half a video is none
            self._encoder.release()
            self._aside.unlink(missing_ok=True)

    def _open(self, size: tuple[int, int]) -> Callable[[NDArray[np.uint8]], Any]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.suffix == ".gif":
            from PIL import Image  # an optional dependency

            return lambda image: self._pictures.append(Image.fromarray(image).quantize(128))
        codec = _CODECS[self._path.suffix]
        with _silent_stderr():  # FFmpeg finds VP8's tag unusual for .webm, on every file
            encoder = cv2.VideoWriter(str(self._aside), cv2.VideoWriter.fourcc(*codec), self._rate_hz, size)
        if not encoder.isOpened():
            raise RuntimeError(f"this OpenCV cannot encode {codec} for {self._path.name}: write .gif instead")
        self._encoder = encoder
        return lambda image: encoder.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """What C libraries write past Python's sys.stderr goes nowhere."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
