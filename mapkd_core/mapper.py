# SPDX-License-Identifier: Apache-2.0
"""Mapper: a frame in, a map out. The one way to predict, for evaluation, bags and the live node alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapkd_core.data.encoded_image import EncodedImage
from mapkd_core.data.prepare import Prepared, prepare
from mapkd_core.data.reduced import Fitted, Picture
from mapkd_core.grid import BevGrid
from mapkd_core.models.build import observed, plan
from mapkd_core.models.inference import device_of, make_runner
from mapkd_core.training.checkpoint import load_weights
from mapkd_core.types import Frame, LocalMap
from mapkd_core.vectorise import vectorise
from mapkd_core.vectorising.query_lines import query_elements

SHIPPED = Path(__file__).parent / "weights" / "student.safetensors"
VECTORS = ("auto", "query", "raster")


class Mapper:
    """Trained weights, ready to predict.

    weights: a .safetensors file with its .json card beside it; None takes the shipped ones.
    backend: auto, or a runtime of docs/performance.md. device: auto, cpu, cuda, cuda:N.
    vectors: where polylines come from: the query head, the raster head, or auto, what the card found better.
    min_confidence: polylines below it are left out; None takes the card's.
    """

    def __init__(
        self,
        weights: Path | str | None = None,
        backend: str = "auto",
        device: str = "auto",
        vectors: str = "auto",
        min_confidence: float | None = None,
        threads: int | None = None,
    ) -> None:
        if vectors not in VECTORS:
            raise ValueError(f"vectors = {vectors!r}; known: {', '.join(VECTORS)}")
        self.weights = Path(weights) if weights is not None else SHIPPED
        model, self.card = load_weights(self.weights)
        if self.card.get("vectors", "raster") not in VECTORS[1:]:
            known, found = ", ".join(VECTORS[1:]), self.card["vectors"]
            raise ValueError(f"{self.weights.with_suffix('.json')}: vectors = {found!r}; known: {known}")
        self.config = model.config
        if self.config.overlapping:
            raise ValueError(
                f"{self.weights} draws layers ({', '.join(self.config.classes)}), a mapper wants lines; what it scores "
                "on its validation frames is in its card"
            )
        self.vectors = self.card.get("vectors", "raster") if vectors == "auto" else vectors
        self.set_min_confidence(min_confidence)
        self.device = device_of(backend, device)  # cpu, cuda or cuda:N
        self._run = make_runner(model, backend, device, self.card, threads)
        self._planned: Planned | None = None
        self._rig_size = 0  # most cameras seen so far

    @property
    def model_id(self) -> str:
        """Names the weights in messages and reports: as the card does, else file name and the start of their hash."""
        return str(self.card.get("model_id") or f"{self.weights.stem}@{self.card['sha256'][:12]}")

    @property
    def grid(self) -> BevGrid:
        """The canvas of the rasters."""
        return self.config.grid

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the network looks at: camera, and for teachers lidar, sd, hd."""
        return self.config.modalities

    @property
    def knows_more(self) -> bool:
        """Whether that is more than cameras."""
        return set(self.modalities) != {"camera"}

    @property
    def classes(self) -> tuple[str, ...]:
        return self.config.classes

    def set_min_confidence(self, value: float | None) -> None:
        """From the next prediction on; None takes the card's."""
        self.min_confidence = self.card.get("min_confidence", 0.3) if value is None else value

    def expect(self, ego_T_cameras: Sequence[NDArray]) -> None:
        """Plan the next frame before its pictures are there: 4 4 of each camera in its order.

        All else is taken as it was in the frame before. A wrong guess costs its time, and no more.
        """
        before = self._planned
        if before is not None and len(ego_T_cameras) == len(before.K):
            self._lookup(before.K, np.stack([np.asarray(pose, np.float64) for pose in ego_T_cameras]), before.valid)

    def ahead(self, picture: Picture | Fitted) -> Picture | Fitted:
        """The same picture, which the network has seen: a frame that it is part of then takes less time.

        For those who have pictures before the last one of the frame is there. As it was where the runtime wants all at
        once, where it is not of the network's size (`data.reduced.fitted`), and before the first prediction. May be
        called from several threads, while another one predicts.
        """
        encode = getattr(self._run, "encode", None)
        if encode is None or not isinstance(picture, Fitted) or not isinstance(picture.pixels, np.ndarray):
            return picture
        since_s, pixels = time.monotonic(), picture.pixels
        features = encode(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        return picture if features is None else picture._replace(pixels=EncodedImage(pixels, features, self, since_s))

    def predict(self, frame: Frame, known: Sequence[NDArray | None] = ()) -> LocalMap:
        """The map at the frame's stamp.

        known: what a teacher gets beside the pictures (`evaluation.rendered`); by default what the frame has of it:
        points, sd and hd. What it lacks counts as absent, and a student takes no notice of any of it.
        Raises ValueError where no camera has a picture, or a picture does not fit its size.
        """
        return self.predict_each(frame, (self.vectors,), known)[self.vectors]

    def predict_each(
        self, frame: Frame, kinds: Sequence[str], known: Sequence[NDArray | None] = ()
    ) -> dict[str, LocalMap]:
        """The map with the polylines of each head in `kinds`, query and raster; the network runs once."""
        start = time.perf_counter()
        prepared = prepare(frame, self.config, self.device != "cpu", network=self)
        if not prepared.valid.any():
            raise ValueError(f"none of the {len(frame.cameras)} cameras has a picture; at least one is needed")
        self._rig_size = max(self._rig_size, len(prepared.valid))
        prepared = padded(prepared, self._rig_size)
        if self.knows_more and not known:
            from mapkd_core.data.teacher_inputs import known_of  # what students never need is not loaded for them

            known = known_of(frame, prepared, self.config)
        prepared_at = time.perf_counter()
        lookup = self._lookup(prepared.K, prepared.ego_T_camera, prepared.valid)
        planned_at = time.perf_counter()
        seen = {"ahead": prepared.features} if any(features is not None for features in prepared.features) else {}
        probability, scores, points = self._run(prepared.images, lookup, *([known] if known else []), **seen)
        ran_at = time.perf_counter()
        moments = (start, prepared_at, planned_at, ran_at)
        maps = {}
        for kind in kinds:
            began = time.perf_counter()
            if kind == "query":
                elements = query_elements(scores, points, self.grid, self.classes, self.min_confidence)
            else:
                found = vectorise(probability, self.grid, self.classes)
                elements = tuple(e for e in found if e.confidence >= self.min_confidence)
            times = [b - a for a, b in pairwise(moments)] + [time.perf_counter() - began]
            maps[kind] = LocalMap(
                grid=self.grid,
                elements=elements,
                classes=self.classes,
                probability=probability,
                observed=observed(self.config, lookup),
                stamp_ns=frame.stamp_ns,
                valid_cameras=tuple(c.name for c, ok in zip(frame.cameras, prepared.valid, strict=False) if ok),
                times_ms={s: 1e3 * t for s, t in zip(("prepare", "plan", "network", "vectorise"), times, strict=True)},
            )
        return maps

    def _lookup(self, K: NDArray, ego_T_camera: NDArray, valid: NDArray) -> NDArray[Any]:
        """The view transform's table; kept while calibration, poses and valid cameras stay the same."""
        key = K.tobytes() + ego_T_camera.tobytes() + valid.tobytes()
        if self._planned is None or self._planned.key != key:
            self._planned = Planned(key, K, valid, plan(self.config, K, ego_T_camera, valid))
        return self._planned.lookup


class Planned(NamedTuple):
    """A view transform's table, and what it was made for."""

    key: bytes
    K: NDArray[np.float64]
    valid: NDArray[np.bool_]
    lookup: NDArray[Any]


def padded(prepared: Prepared, count: int) -> Prepared:
    """`prepared` with black, invalid cameras added up to `count`.

    A rig that loses a camera on the road keeps the shape of its tensors: a compiled network would otherwise be made
    anew, seconds that a vehicle does not have.
    """
    missing = count - len(prepared.valid)
    if missing <= 0:
        return prepared
    images = prepared.images
    if isinstance(images, np.ndarray):
        images = np.concatenate([images, np.zeros((missing, *images.shape[1:]), np.uint8)])
    else:
        images = images.with_black(missing)
    return Prepared(
        images,
        np.concatenate([prepared.K, prepared.K[:1].repeat(missing, 0)]),
        np.concatenate([prepared.ego_T_camera, prepared.ego_T_camera[:1].repeat(missing, 0)]),
        np.concatenate([prepared.valid, np.zeros(missing, bool)]),
        (*prepared.features, *[None] * missing),
    )
