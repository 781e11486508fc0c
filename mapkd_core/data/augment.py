# SPDX-License-Identifier: Apache-2.0
"""Random changes for training, each applied to pictures, calibration and truth alike so that they go on agreeing.

Only `lose_cameras` and `disturb` break that on purpose: they are what a vehicle suffers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mapkd_core import geometry
from mapkd_core.config import TrainConfig
from mapkd_core.data.prepare import Prepared
from mapkd_core.data.samples import Sample
from mapkd_core.types import MapElement

_MIRROR = np.diag([1.0, -1.0, 1.0, 1.0])  # left and right of the ego frame change places
_FLIP = np.diag([-1.0, 1.0, 1.0, 1.0])  # and of the picture


def augment(sample: Sample, config: TrainConfig, rng: np.random.Generator) -> Sample:
    """One random variant of a sample."""
    if config.mirror and rng.random() < 0.5:
        sample = mirror(sample)
    yaw, x, y = rng.uniform(-1, 1, 3) * (config.turn, config.shift, config.shift)
    sample = move(sample, geometry.planar(x, y, yaw))
    prepared = disturb(sample.prepared, config.calibration_noise, rng)
    if rng.random() < config.camera_dropout:
        prepared = lose_cameras(prepared, int(rng.integers(1, 3)), rng)
    return replace(sample, prepared=recolour(prepared, rng))


def mirror(sample: Sample) -> Sample:
    """The world in a mirror: left-hand traffic becomes right-hand traffic."""
    p = sample.prepared
    K = p.K.copy()
    K[:, 0, 2] = p.images.shape[-1] - 1 - K[:, 0, 2]
    mirrored = Prepared(p.images[..., ::-1], K, _MIRROR @ p.ego_T_camera @ _FLIP, p.valid)
    return _changed(sample, mirrored, _MIRROR)


def move(sample: Sample, ego_T_new: geometry.Matrix) -> Sample:
    """The same scene told in another ego frame: nothing in the pictures changes."""
    new_T_ego = geometry.inverse(ego_T_new)
    p = sample.prepared
    moved = Prepared(p.images, p.K, new_T_ego @ p.ego_T_camera, p.valid)
    return _changed(sample, moved, new_T_ego)


def disturb(prepared: Prepared, sigma: float, rng: np.random.Generator) -> Prepared:
    """Turn the told calibration by `sigma` rad (standard deviation per axis).

    One part is common to all cameras (roll and pitch of the body), half as much comes on top for each.
    """
    common = geometry.from_euler(*(rng.normal(0, sigma, 3) * (1.0, 1.0, 0.0)))
    told = prepared.ego_T_camera.copy()
    for pose in told:
        pose[:3, :3] = common @ geometry.from_euler(*rng.normal(0, 0.5 * sigma, 3)) @ pose[:3, :3]
    return Prepared(prepared.images, prepared.K, told, prepared.valid)


def lose_cameras(prepared: Prepared, count: int, rng: np.random.Generator) -> Prepared:
    """`count` cameras go black and are told to be invalid; at least one stays."""
    count = min(count, len(prepared.valid) - 1)
    lost = rng.choice(len(prepared.valid), count, replace=False)
    images, valid = prepared.images.copy(), prepared.valid.copy()
    images[lost], valid[lost] = 0, False
    return Prepared(images, prepared.K, prepared.ego_T_camera, valid)


def recolour(prepared: Prepared, rng: np.random.Generator) -> Prepared:
    """Another exposure, contrast and white balance for all cameras, and a little for each."""
    n = len(prepared.images)
    gain = np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.06, (n, 1)) + rng.normal(0, 0.04, 3))  # N 3
    bias = rng.normal(0, 8)
    levels = np.arange(256, dtype=np.float32)
    tables = np.clip(levels * gain[..., None] + bias, 0, 255).astype(np.uint8)  # N 3 256
    images = np.empty_like(prepared.images)
    for camera, channels in enumerate(tables):
        for channel, table in enumerate(channels):
            images[camera, channel] = table[prepared.images[camera, channel]]
    images[~prepared.valid] = 0
    return Prepared(images, prepared.K, prepared.ego_T_camera, prepared.valid)


def _changed(sample: Sample, prepared: Prepared, new_T_ego: geometry.Matrix) -> Sample:
    """Truth, priors and points told in the new ego frame."""

    def told(elements: tuple[MapElement, ...]) -> tuple[MapElement, ...]:
        return tuple(replace(e, vertices_m=geometry.apply_planar(new_T_ego, e.vertices_m)) for e in elements)

    lists = [told(elements) for elements in (sample.elements, sample.sd, sample.hd)]
    layers = sample.layers and replace(sample.layers, elements=told(sample.layers.elements))
    points = sample.points
    if points is not None:
        points = np.concatenate([geometry.apply(new_T_ego, points[:, :3]).astype(np.float32), points[:, 3:]], 1)
    relief = sample.relief.told_in(geometry.inverse(new_T_ego))
    return Sample(prepared, lists[0], points, *lists[1:], relief=relief, layers=layers)
