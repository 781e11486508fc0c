# SPDX-License-Identifier: Apache-2.0
"""JPEGs decoded and brought to the network's size on a GPU, where they stay: bytes go up, and no picture comes down.

The decoder is TorchCodec's (nvJPEG, a whole list at once; `pip install 'mapkd[gpu]'`). It decodes every pixel, so what
comes out is what the CPU makes of whole pictures, within 1 of 255 (`tensor_fit`). The decoder waits in its own call, in
the thread that asks; what follows is queued. Not measured; tested on CPU tensors.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from mapkd_core.config import ModelConfig
from mapkd_core.data.image_codec import MAX_PIXELS, Buffer, compressed_size, parse_format, unturned
from mapkd_core.data.reduced import Fitted
from mapkd_core.data.tensor_fit import fit
from mapkd_core.data.tensor_images import TensorImage

log = logging.getLogger(__name__)
Decode: TypeAlias = Callable[[Sequence[bytes]], Sequence[Tensor]]  # JPEGs -> 3 H W uint8 RGB each, on the device


class OnDevice:
    """Decodes and fits on `device`; a `Reduction` for those that know no better, which reduces nothing."""

    def __init__(self, config: ModelConfig, device: str, decode: Decode) -> None:
        self.config, self.device, self._decode = config, device, decode
        self._streams = _Streams(device)

    def __call__(self, width: int, height: int) -> int:
        return 1

    def pictures(self, jpegs: Sequence[Buffer], format: str = "jpeg") -> list[Fitted]:
        """One for each JPEG, decoded together, perhaps not yet ready: see `TensorImage`.

        Raises ValueError for damaged, cut or oversized data.
        """
        sizes = [compressed_size(data) for data in jpegs]
        if too_large := [size for size in sizes if size[0] * size[1] > MAX_PIXELS]:
            raise ValueError(f"compressed image of {too_large[0]} pixels is larger than the bound of {MAX_PIXELS}")
        try:
            with torch.cuda.stream(self._streams.decoding):
                decoded = self._decode([unturned(data) for data in jpegs])
        except RuntimeError as error:
            raise ValueError(f"a jpeg of {[len(d) for d in jpegs]} bytes is damaged: {error}") from error
        found = [tuple(picture.shape) for picture in decoded]
        if found != [(3, height, width) for width, height in sizes]:
            raise ValueError(f"jpegs of {sizes} pixels became pictures of {found}")
        is_swapped = parse_format(format).is_swapped
        with torch.cuda.stream(self._streams.fitting):
            self._streams.hand_over(decoded)
            fitted = [fit(picture.flip(0) if is_swapped else picture, self.config) for picture in decoded]
            made = self._streams.made()
        images = [TensorImage(picture, made) for picture in fitted]
        return [Fitted(image, size, self.config) for image, size in zip(images, sizes, strict=True)]


class _Streams(threading.local):
    """Two CUDA streams for each thread that decodes; None on a CPU.

    Nothing but decoding happens on the first. nvJPEG's hardware may write a picture before work that is queued on its
    stream has run (meta-pytorch/torchcodec, pull request 1634; TorchCodec 0.16 does not guard against it), and PyTorch
    gives it memory that such work still reads, unless that memory belongs to another stream.
    """

    def __init__(self, device: str) -> None:
        is_cuda = device.startswith("cuda") and torch.cuda.is_available()
        self.decoding: Any = torch.cuda.Stream(device) if is_cuda else None
        self.fitting: Any = torch.cuda.Stream(device) if is_cuda else None

    def hand_over(self, decoded: Sequence[Tensor]) -> None:
        """The second stream goes on with these behind the first, and their memory is kept until it has."""
        if self.fitting is not None:
            self.fitting.wait_stream(self.decoding)
            for picture in decoded:
                picture.record_stream(self.fitting)

    def made(self) -> Any:
        """An event after all that the second stream has been given."""
        return None if self.fitting is None else self.fitting.record_event()


@lru_cache(maxsize=4)
def on_device(config: ModelConfig, device: str) -> OnDevice | None:
    """None, and why in the log, where JPEGs cannot be decoded on `device`: then the CPU does it."""
    try:
        from torchcodec.decoders import decode_jpeg

        decode_jpeg([_probe()], device=device)
    except (ImportError, OSError, RuntimeError, ValueError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        log.warning("JPEGs are decoded on the CPU and not on %s: %s; see pip install 'mapkd[gpu]'", device, reason)
        return None
    return OnDevice(config, device, lambda jpegs: decode_jpeg(list(jpegs), device=device))


def _probe() -> bytes:
    import cv2

    return bytes(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1])
