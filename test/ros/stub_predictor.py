# SPDX-License-Identifier: Apache-2.0
"""A predictor without a network, for tests of the nodes, and a process that runs the map node with it.

python stub_predictor.py [--delay SECONDS] [--fail-every N] [--inside-a-library] [--out-of-memory N] [--blind-back]
        [--ahead sees|fails]
    --ros-args ...
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from mapkd_core.data.encoded_image import EncodedImage
from mapkd_core.data.reduced import Picture
from mapkd_core.grid import BevGrid
from mapkd_core.types import CLASSES, Frame, LocalMap, MapElement


class StubPredictor:
    """Says what it saw: one divider whose y is the number of cameras, one boundary at the mean of the first image."""

    grid = BevGrid()
    classes = CLASSES
    model_id = "stub@1"

    def __init__(
        self,
        delay_s: float = 0.0,
        fail_every: int = 0,
        is_inside: bool = False,
        out_of_memory_every: int = 0,
        needs_back: bool = False,
        ahead: str = "",
    ) -> None:
        if ahead:
            self.ahead = self._sees if ahead == "sees" else self._fails_ahead
        self.needs_back = needs_back
        self.is_inside, self.out_of_memory_every = is_inside, out_of_memory_every
        self.delay_s, self.fail_every, self.calls = delay_s, fail_every, 0
        self.min_confidence = 0.0

    def set_min_confidence(self, value: float | None) -> None:
        self.min_confidence = value or 0.0

    def _sees(self, picture: Picture) -> Picture:
        return picture._replace(pixels=EncodedImage(picture.pixels, {}, self, time.monotonic()))

    def _fails_ahead(self, picture: Picture) -> Picture:
        raise RuntimeError(f"stub does not look at {picture.size}")

    def predict(self, frame: Frame) -> LocalMap:
        self.calls += 1
        if hasattr(self, "ahead"):
            print(f"frame {self.calls}: {sum(c.is_held for c in frame.cameras)} seen ahead", flush=True)
        if self.fail_every and self.calls % self.fail_every == 0:
            raise RuntimeError(f"stub fails on call {self.calls}")
        if self.out_of_memory_every and self.calls % self.out_of_memory_every == 0:
            run_out_of_memory()
        time.sleep(self.delay_s)
        if self.is_inside:  # many seconds in compiled code that lets other threads run
            np.linalg.svd(np.random.default_rng(0).normal(size=(4000, 4000)))
        count = float(len(frame.cameras))
        red = float(frame.cameras[0].pixels[..., 0].mean()) / 10
        probability = np.zeros((len(CLASSES), *self.grid.shape), np.uint8)
        probability[0, 110] = 255
        elements = (
            MapElement("divider", np.array([[-30.0, count], [30.0, count]]), False, 0.9),
            MapElement("boundary", np.array([[red, -15.0], [red, 15.0]]), False, 0.8),
        )
        names = tuple(camera.name for camera in frame.cameras)
        observed = np.ones(self.grid.shape, bool)
        if self.needs_back and "CAM_BACK" not in names:
            observed[:, : self.grid.shape[1] // 2] = False
            probability[:, ~observed] = 0
        elements = tuple(e for e in elements if e.confidence >= self.min_confidence)
        return LocalMap(self.grid, elements, CLASSES, probability, observed, frame.stamp_ns, names, {"inference": 1.0})


class Tensor:
    """Says when its memory is free again."""

    def __del__(self) -> None:
        print("tensor freed", flush=True)


def run_out_of_memory() -> None:
    """As PyTorch does while a tensor of this frame is on the device. Without a device its cache is pretended."""
    import torch

    tensor = Tensor()
    if not torch.cuda.is_available():
        torch.cuda.is_initialized = lambda: True
        torch.cuda.empty_cache = lambda: print("cache emptied", flush=True)
    raise torch.cuda.OutOfMemoryError(f"CUDA out of memory. Tried to allocate 20.00 GiB beside {tensor}")


def main() -> int:
    from mapkd_ros.map_node import MapNode
    from mapkd_ros.spinning import run

    parser = argparse.ArgumentParser()
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--fail-every", type=int, default=0)
    parser.add_argument("--inside-a-library", action="store_true")
    parser.add_argument("--out-of-memory", type=int, default=0)
    parser.add_argument("--blind-back", action="store_true", help="nothing is known behind without CAM_BACK")
    parser.add_argument("--ahead", choices=["sees", "fails"], default="", help="pictures are given to it as they come")
    options, ros_arguments = parser.parse_known_args()
    predictor = StubPredictor(
        options.delay,
        options.fail_every,
        options.inside_a_library,
        options.out_of_memory,
        options.blind_back,
        options.ahead,
    )
    return run(lambda: MapNode(lambda _: predictor), ros_arguments)


if __name__ == "__main__":
    sys.exit(main())
