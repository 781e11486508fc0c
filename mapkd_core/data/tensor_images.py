# SPDX-License-Identifier: Apache-2.0
"""Pictures that stay in the memory of the network's device, from the decoder up to the captured graph.

Whoever queues work on them queues it behind the decoder's: the GPU waits, the host does not. Host code asks
`Camera.pixels` and waits there, in its own thread. On CPU tensors there is no stream, and nothing waits. H W of the
network's pictures, N cameras.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.config import ModelConfig
from mapkd_core.data.prepare import fit_image
from mapkd_core.types import Camera


class TensorImage:
    """One picture, a `types.HeldImage`. tensor: 3 H W uint8 RGB. made: the CUDA event that says so; None on a CPU."""

    dtype = np.dtype(np.uint8)

    def __init__(self, tensor: Tensor, made: Any = None) -> None:
        self._tensor, self._made = tensor, made

    @property
    def shape(self) -> tuple[int, ...]:
        """H W 3, as an array of the picture has it."""
        channels, height, width = self._tensor.shape
        return height, width, channels

    def queued(self) -> Tensor:
        """3 H W, for work on the current stream, which from now on waits for the picture."""
        if self._made is not None:
            stream = torch.cuda.current_stream(self._tensor.device)
            stream.wait_event(self._made)
            self._tensor.record_stream(stream)  # not to be reused before that work is done
        return self._tensor

    def numpy(self) -> NDArray[np.uint8]:
        """H W 3 on the host; waits for this picture."""
        return np.ascontiguousarray(self.queued().cpu().permute(1, 2, 0).numpy())


Slot: TypeAlias = "TensorImage | NDArray[np.uint8] | None"


class TensorImages:
    """N pictures of the network's size in places of their own; what `Prepared.images` is where some stay on a device.

    slots: TensorImage; H W 3 for what another decoder left on the host; None for black.
    """

    def __init__(self, slots: Sequence[Slot], config: ModelConfig) -> None:
        self._slots, self._config = tuple(slots), config

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N 3 H W, as the array has it."""
        return len(self._slots), 3, self._config.image_height, self._config.image_width

    def with_black(self, missing: int) -> TensorImages:
        """With so many black pictures more."""
        return TensorImages((*self._slots, *[None] * missing), self._config)

    def write_to(self, target: Tensor, staging: Tensor) -> int:
        """Queue all of them on the current stream into `target`; how many of them had to go up from the host.

        target: N 3 H W uint8 on the device. staging: the same on the host, pinned where the host shall not wait; it
        must not change before the stream is done.
        """
        uploads = 0
        for to, staged, picture in zip(target, staging, self._slots, strict=True):
            if picture is None:
                to.zero_()
            elif isinstance(picture, TensorImage):
                to.copy_(picture.queued(), non_blocking=True)
            else:
                np.copyto(staged.numpy(), picture.transpose(2, 0, 1))
                to.copy_(staged, non_blocking=True)
                uploads += 1
        return uploads

    def stacked(self, device: str) -> Tensor:
        """N 3 H W on the device, for those without buffers of their own."""
        target = torch.empty(self.shape, dtype=torch.uint8, device=device)
        self.write_to(target, torch.empty(self.shape, dtype=torch.uint8))
        return target


def gathered(cameras: Sequence[Camera], config: ModelConfig) -> TensorImages:
    """The cameras' pictures, each where it is; one on a device that is not of the network's size comes down.

    Raises ValueError as `prepare` does.
    """
    return TensorImages([_slot(camera, config) for camera in cameras], config)


def _slot(camera: Camera, config: ModelConfig) -> Slot:
    image = camera.image
    if isinstance(image, TensorImage):
        found, told = image.shape[:2], (camera.height, camera.width)
        if found == told == (config.image_height, config.image_width):
            return image
    return None if image is None else fit_image(camera, config)
