# SPDX-License-Identifier: Apache-2.0
"""The ground by OpenCV keeps its bytes; by PyTorch it is the same but for rounding, tried on tensors of the CPU."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
import torch

from mapkd_core import cli
from mapkd_core.geometry import planar
from mapkd_core.grid import BevGrid
from mapkd_core.worlds import procedural, rig
from mapkd_core.worlds.relief import FLAT, relief_of
from mapkd_core.worlds.relief_view import draw_on_relief
from mapkd_core.worlds.render import Renderer
from mapkd_core.worlds.sampling import GroundTexture, OpenCvSampler, chosen_device, pyramid, sampler_on
from mapkd_core.worlds.torch_sampling import TorchSampler

CAMERAS = rig.cropped_top(rig.scaled(rig.nuscenes_rig(), 352, 198), 70)
GROUNDS = {"flat": FLAT, "hilly": relief_of(0.25, np.random.default_rng(3))}
# Taken when OpenCV 5.0 drew the ground without `sampling`; PROBE tells whether this OpenCV rounds like that one.
PROBE = "de84310aef398c28"
HASHES = {
    ("flat", 0): "d79f1b6ce7fb0368",
    ("flat", 1): "fe26b07d2ad6389d",
    ("flat", 2): "e8c0df93f773a409",
    ("hilly", 0): "d0efd6e3ffdfae06",
    ("hilly", 1): "052bff951e755a63",
    ("hilly", 2): "1037c7b038c20f3a",
}


@pytest.fixture(scope="module")
def texture() -> GroundTexture:
    """Noise, whose neighbours differ by hundreds of grey levels: nothing is harder to interpolate alike."""
    rng = np.random.default_rng(0)
    near, far = BevGrid(-32.0, 32.0, -32.0, 32.0, 0.1), BevGrid(-128.0, 128.0, -128.0, 128.0, 0.4)
    return GroundTexture(
        *(pyramid(grid, rng.integers(0, 256, (*grid.shape, 3)).astype(np.uint8), 3) for grid in (near, far))
    )


def drawn(sampler, ground: str, seed: int) -> np.ndarray:
    """The six pictures (6 H W 3) of a slightly bent rig anywhere on the texture, in any direction; sky is 7."""
    rng = np.random.default_rng(seed)
    map_T_ego = GROUNDS[ground].lifted(planar(*rng.uniform(-5, 5, 2), rng.uniform(0, 6)))
    pictures = np.full((6, CAMERAS[0].height, CAMERAS[0].width, 3), 7, np.uint8)
    for picture, camera in zip(pictures, rig.perturbed(CAMERAS, rng), strict=True):
        draw_on_relief(picture, sampler, camera.K, map_T_ego @ camera.ego_T_camera, GROUNDS[ground])
    return pictures


def probe(texture: GroundTexture) -> np.ndarray:
    image, tilt = texture.near[0][1], np.array([[0.3, 0.02, 20], [0.01, 0.3, 30], [1e-4, 2e-3, 1]])
    u, v = np.meshgrid(np.arange(352, dtype=np.float32), np.arange(128, dtype=np.float32))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpPerspective(image, tilt, (352, 128), flags=flags)
    return np.concatenate([warped, cv2.remap(image, 0.7 * u + 0.3 * v, 1.3 * v + 0.1 * u, cv2.INTER_LINEAR)])


def digest(pictures: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(pictures)).hexdigest()[:16]


@pytest.mark.parametrize(("ground", "seed"), HASHES)
def test_opencv_draws_the_bytes_that_published_sets_were_made_of(texture, ground, seed):
    if digest(probe(texture)) != PROBE:
        pytest.skip(f"OpenCV {cv2.__version__} rounds otherwise here than where the hashes were taken")
    assert digest(drawn(OpenCvSampler(texture), ground, seed)) == HASHES[ground, seed]


@pytest.mark.parametrize("ground", GROUNDS)
def test_pytorch_draws_what_opencv_draws(texture, ground):
    seen = drawn(OpenCvSampler(texture), ground, 0).astype(int)
    assert within_one(drawn(TorchSampler(texture, "cpu"), ground, 0), seen) >= 0.995
    assert (seen != 7).any(-1).mean() > 0.6  # not the sky was compared


@pytest.mark.parametrize("make", [OpenCvSampler, lambda texture: TorchSampler(texture, "cpu")], ids=["opencv", "torch"])
def test_bands_are_the_grey_levels_worked_out_by_hand(make):
    """Grey level 40 x + 8 y at cell (x, y) of 6 x 4; beyond the edges it goes on as there."""
    y, x = np.mgrid[:4, :6]
    image = np.repeat((40 * x + 8 * y).astype(np.uint8)[..., None], 3, axis=2)
    sampler = make(GroundTexture(*[((BevGrid(0.0, 6.0, 0.0, 4.0, 1.0), image),)] * 2))
    shifted = np.array([[1.0, 0, 0.5], [0, 0.5, 0.25], [0, 0, 1]])  # sample (u, v) lies at cell (u + 0.5, v / 2 + 0.25)
    once = sampler.on_plane((True, 0), shifted, (6, 2), 1)
    twice = sampler.on_plane((False, 0), shifted, (6, 1), 2)
    got = sampler.joined([once, twice])
    assert got.shape == (3, 6, 3) and got.dtype == np.uint8
    assert got[:, :, 1].tolist() == [
        [22, 62, 102, 142, 182, 202],
        [26, 66, 106, 146, 186, 206],
        [24, 64, 104, 144, 184, 204],
    ]
    # Columns every 2 pixels about pixel pairs: cells 1 apart there are half a cell apart from pixel to pixel.
    cells = np.stack(np.broadcast_arrays(np.arange(4.0)[None], np.array([[1.0], [2.0]])), -1).astype(np.float32)
    band = sampler.joined([sampler.on_columns((True, 0), cells, 2, 3, 2)])
    assert band[:, :, 0].tolist() == [[42, 62, 82]]  # x = 0.75, 1.25, 1.75 at y = 1 and 2: 40 x + 12


@pytest.mark.parametrize("relief", GROUNDS.values(), ids=GROUNDS)
@pytest.mark.parametrize("device", ["torch on cpu", "cuda"])
def test_a_world_looks_the_same_from_either_device(relief, device):
    """Before the lens, which may turn a grey level that differs into several: JPEG above all, gain at night."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("PyTorch sees no CUDA device")
    road_map = procedural.make_road_map(6)
    world = Renderer(road_map, 6, relief=relief, effects=False, solids=False, near_cell_m=0.1)
    by_opencv = [camera.image for camera in world.frame(1.3, CAMERAS).cameras]
    world.sampler = TorchSampler(world.texture, "cuda" if device == "cuda" else "cpu")
    for camera, expected in zip(world.frame(1.3, CAMERAS).cameras, by_opencv, strict=True):
        assert within_one(camera.image, expected.astype(int)) >= 0.995


def test_devices_that_are_not_there_are_refused_before_anything_is_rendered(tmp_path, capsys):
    assert chosen_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ValueError, match="unknown device 'gpu' to render on; known: auto, cpu, cuda"):
        Renderer(procedural.make_road_map(6), 6, device="gpu")
    if torch.cuda.is_available():
        pytest.skip("PyTorch sees a CUDA device, which cannot be refused")
    assert cli.main(["dataset", "--out", str(tmp_path / "set"), "--device", "cuda", "--worlds", "1"]) == 1
    assert "PyTorch sees no CUDA device here; use cpu or auto" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_nothing_is_left_on_the_cpu_while_bands_are_made(texture):
    """PyTorch's meta device works shapes out, and refuses to mix with tensors of another device as a GPU does."""
    sampler = TorchSampler(texture, "meta")
    plane = sampler.on_plane((True, 1), np.eye(3), (352, 5), 4)
    columns = sampler.on_columns((False, 2), np.zeros((12, 34, 2), np.float32), 11, 352, 3)
    assert [(band.device.type, band.dtype, tuple(band.shape)) for band in (plane, columns)] == [
        ("meta", torch.uint8, (5, 352, 3)),
        ("meta", torch.uint8, (4, 352, 3)),
    ]


def test_the_cpu_reads_by_opencv(texture):
    assert isinstance(sampler_on("cpu", texture), OpenCvSampler)


def within_one(picture: np.ndarray, expected: np.ndarray) -> float:
    """Share of pixels of which no channel differs by more than a grey level."""
    return float((np.abs(picture - expected).max(-1) <= 1).mean())
