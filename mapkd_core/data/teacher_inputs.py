# SPDX-License-Identifier: Apache-2.0
"""What a teacher gets beside the pictures: LiDAR points and rasters of map priors, as arrays for its parts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mapkd_core.config import ModelConfig
from mapkd_core.data.clipping import clip
from mapkd_core.data.prepare import Prepared
from mapkd_core.data.rasterise import layers
from mapkd_core.data.samples import Sample, SampleFolder
from mapkd_core.models.lidar import NO_POINT_M
from mapkd_core.models.views.lift_splat import LiftSplatView
from mapkd_core.types import CLASSES, SD_CLASS, Frame, MapElement

PRIOR_CLASSES = {"sd": (SD_CLASS,), "hd": CLASSES}
PRIOR_THICKNESS = 2  # decoder cells; 0.6 m on the default grid


def teacher_inputs(sample: Sample, config: ModelConfig, modalities: Collection[str]) -> dict[str, NDArray]:
    """Input -> array of one frame: points P 5; sd 1 Y X and hd 3 Y X, 0 or 1 on the decoder grid; frustum N D h w.

    frustum: for a coach's simulated LiDAR, the cells of `LiftSplatView.plan`, whichever view the pictures go through.

    Raises ValueError where the LiDAR is wanted and the sample has no points.
    """
    found: dict[str, NDArray] = {}
    if "lidar" in modalities:
        if sample.points is None:
            raise ValueError(
                "a network has a LiDAR branch, but these samples have no points; make samples for teachers with "
                "`mapkd dataset --benchmark small`, or leave lidar out of model.modalities"
            )
        found["points"] = np.asarray(sample.points, np.float32)
    if "simulated_lidar" in modalities:
        p = sample.prepared
        found["frustum"] = LiftSplatView.plan(config, p.K, p.ego_T_camera, p.valid)
    for name, elements in (("sd", sample.sd), ("hd", sample.hd)):
        if name in modalities:
            found[name] = prior_raster(name, elements, config)
    return found


def prior_raster(name: str, elements: Sequence[MapElement], config: ModelConfig) -> NDArray[np.float32]:
    """l Y X, 0 or 1 on the decoder grid: a prior, sd or hd, whose elements are in the ego frame."""
    inside = [part for e in elements for part in clip(e, config.grid)]
    return layers(inside, config.decoder_grid, PRIOR_CLASSES[name], PRIOR_THICKNESS).astype(np.float32)


def check_there(samples: SampleFolder, modalities: Collection[str]) -> None:
    """Raises ValueError where a network is to get what no frame of the folder has: it would learn to do without."""
    absent = sorted({"lidar", *PRIOR_CLASSES} & set(modalities) - samples.modalities)
    if absent:
        raise ValueError(
            f"a network gets {', '.join(sorted(modalities))}, but the samples in {samples.folder} have no "
            f"{' and no '.join(absent)}; make samples for teachers with `mapkd dataset --benchmark small`, from "
            "nuScenes with --sweeps, --sd and --hd of `mapkd nuscenes samples`, or leave it out of model.modalities"
        )


def stack_points(clouds: Sequence[Tensor]) -> Tensor:
    """1 P 5 each -> B P 5, filled up with points that lie nowhere."""
    longest = max(cloud.shape[1] for cloud in clouds)
    stacked = clouds[0].new_zeros(len(clouds), longest, 5)
    stacked[..., 0] = NO_POINT_M
    for row, cloud in zip(stacked, clouds, strict=True):
        row[: cloud.shape[1]] = cloud[0]
    return stacked


def lost_modalities(probability: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """3: whether LiDAR, SD and HD prior are lost, each with `probability`: a teacher must not live by one of them.

    P-MapNet's users saw it copy its SD map and ignore the pictures; losing the prior now and then is the remedy its
    authors name. What is lost is lost to the network that learns, not to those that teach it.
    """
    return rng.random(3) < probability


def without(
    lost: Tensor, points: Tensor | None, sd: Tensor | None, hd: Tensor | None
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """points B P 5, sd and hd B l Y X without what is lost, B 3: points that lie nowhere, maps without a line."""
    if points is not None:
        points = points.clone()
        points[lost[:, 0], :, 0] = NO_POINT_M
    kept = (~lost[:, 1:]).float()[:, :, None, None, None]
    return points, None if sd is None else sd * kept[:, 0], None if hd is None else hd * kept[:, 1]


def as_tensors(arrays: dict[str, NDArray]) -> dict[str, Tensor]:
    """Each with a batch axis of one."""
    return {name: torch.from_numpy(array)[None] for name, array in arrays.items()}


def known_of(frame: Frame, prepared: Prepared, config: ModelConfig) -> tuple[NDArray | None, ...]:
    """points P 5, sd, hd and frustum for a teacher; None for what it does not ask for, or what the frame lacks."""
    points, frustum = None, None
    if "lidar" in config.modalities and frame.points is not None:
        points = np.zeros((len(frame.points), 5), np.float32)
        points[:, :4] = frame.points[:, :4]
        points[:, 4] = frame.points[:, 5] if frame.points.shape[1] == 6 else 0
    rasters = [
        prior_raster(name, elements, config) if name in config.modalities and elements is not None else None
        for name, elements in (("sd", frame.sd), ("hd", frame.hd))
    ]
    if "simulated_lidar" in config.modalities:
        frustum = LiftSplatView.plan(config, prepared.K, prepared.ego_T_camera, prepared.valid)
    return (points, *rasters, frustum)
