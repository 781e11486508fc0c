# SPDX-License-Identifier: Apache-2.0
"""The budget of a GPU, measured on CPU tensors: all of it is there and hangs together. How fast, is not tested."""

from __future__ import annotations

import json
import warnings

import pytest
import torch

from mapkd_core.cli import main
from mapkd_core.commands import performance_blocks, ship
from mapkd_core.commands.readme_tables import rewritten
from mapkd_core.data import device_pictures
from mapkd_core.data.device_pictures import OnDevice
from mapkd_core.data.image_codec import decode_compressed
from mapkd_core.mapper import Mapper
from mapkd_core.models.build import build
from mapkd_core.models.inference import GPU_BACKENDS
from mapkd_core.performance import device_budget, device_ceilings, device_probe, device_table, ways
from mapkd_core.training.checkpoint import load_weights, save_weights
from mapkd_core.types import Frame

CPU = torch.device("cpu")
STEPS = ("up_ms", "forward_ms", "down_ms")


class OnCpuTensors(Mapper):
    """What a Mapper on a GPU is, with the tensors on the CPU; its pictures come from a decoder of the device."""

    def __init__(self, weights, backend, device, threads):
        super().__init__(weights, "torch", "cpu")
        self.device = "cuda"
        self._run = ways.staged(device)[backend].make(load_weights(weights)[0], self.card, threads)


def decoded(jpegs):
    return [torch.from_numpy(decode_compressed("jpeg", data).transpose(2, 0, 1).copy()) for data in jpegs]


@pytest.fixture(scope="module")
def result(tmp_path_factory, tiny, rig, make_sample):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(path, build(tiny).state_dict(), tiny, {"vectors": "query", "min_confidence": 0.0})
    pictures = make_sample().prepared.images.transpose(0, 2, 3, 1)
    frame = Frame(tuple(type(c)(c.name, i, c.K, c.ego_T_camera, c.width, c.height) for c, i in zip(rig, pictures)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(device_pictures, "on_device", lambda config, device: OnDevice(config, "cpu", decoded))
        patch.setattr(device_budget, "Mapper", OnCpuTensors)
        patch.setattr(device_ceilings, "CONVOLUTION", (1, 8, 16))
        patch.setattr(device_ceilings, "COPY_BYTES", 1 << 20)
        patch.setattr(device_budget, "FRAMES", 1)
        return device_budget.run(path, "cpu", repeats=3, threads=1, frame=frame, worlds=1)


def test_every_precision_is_measured_from_jpeg_to_polylines(result):
    assert json.loads(json.dumps(result)) == result
    assert list(result["ways"]) == list(GPU_BACKENDS) and result["machine"]["gpu"] is None
    for row in result["ways"].values():
        assert row["decodes_on"] == "GPU" and row["memory_mib"] is None and row["waits"] is None
        for times in (*(row[step] for step in STEPS), *row["to_map_ms"]["quality 80"].values()):
            assert 0 <= times["p50"] <= times["p95"] <= times["p99"] and times["repeats"] == 3
        stages = row["to_map_ms"]["quality 80"]
        assert {"decode", "prepare", "plan", "network", "vectorise", "total"} <= set(stages)
        assert stages["total"]["p50"] >= stages["network"]["p50"] > 0 < stages["plan"]["p50"]


def test_copies_are_those_of_a_frame_and_shares_those_of_the_ceilings(result, tiny):
    roofs = result["ceilings"]
    assert list(roofs["conv_gflops"]) == list(GPU_BACKENDS.values())
    assert all(speed > 0 for speed in (*roofs["conv_gflops"].values(), roofs["up_gbs"], roofs["bandwidth_gbs"]))
    for name, row in result["ways"].items():
        pictures, raster = 6 * 3 * 64 * 96, 3 * 40 * 80
        assert pictures < 1e6 * row["up_mb"] < 2 * pictures and raster < 1e6 * row["down_mb"] < 2 * raster
        ceiling = roofs["conv_gflops"][GPU_BACKENDS[name]]
        assert row["share_of_ceiling"] == pytest.approx(row["gflops"] / ceiling, rel=0.05, abs=2e-4)
        assert row["gflops"] == pytest.approx(1e3 * row["gflop"] / row["forward_ms"]["p50"], rel=0.1, abs=0.1)
        assert row["floor_ms"] >= 1e3 * row["gflop"] / ceiling * 0.95
        assert row["share_of_floor"] == pytest.approx(row["floor_ms"] / row["forward_ms"]["p50"], rel=0.05, abs=2e-4)


def test_every_precision_is_scored_and_the_card_gets_what_it_loses(result, tmp_path):
    assert result["scored_frames"] == 1 and result["reference_miou"] is not None
    for name, row in result["ways"].items():
        assert row["miou_lost"] == pytest.approx(result["reference_miou"] - row["miou"], abs=1e-3)
        assert row["is_exact"] == (name == "cuda") and (not row["is_exact"] or row["apart"]["probability"] <= 1)
    (tmp_path / "gpu.json").write_text(json.dumps(result))
    assert set(ship._miou_lost(tmp_path / "gpu.json", result["sha256"])) == {"cuda-tf32", "cuda-bf16", "cuda-fp16"}


def test_it_is_told_as_text_and_in_the_document(result, tmp_path):
    lines = "\n".join(device_table.markdown(result))
    assert all(f"`{name}`" in lines for name in GPU_BACKENDS) and "CPU tensors, no GPU" in lines
    broken = {"cuda": {**result["ways"]["cuda"], "apart": dict.fromkeys(device_table.APART), "waits": 0}}
    assert "-" in "\n".join(device_table.markdown({**result, "ways": broken}))
    assert "decoded on the GPU" in lines and "total, p99" in lines
    file, draw = performance_blocks.BLOCKS["gpu"]
    assert draw(result) == device_table.markdown(result)
    block = "<!-- begin gpu -->\n<!-- end gpu -->"
    assert f"Not measured yet: `{file}`" in rewritten(block, tmp_path)
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(json.dumps(result))
    assert "`cuda-bf16`" in rewritten(block, tmp_path)


def test_memory_and_waits_are_read_off_the_gpu(monkeypatch):
    """Stand-ins for PyTorch's counters: the peak is of what came after `restart`, a wait is a warning of its kind."""
    modes = []
    free = iter([900 << 20, 600 << 20])
    fakes = {
        "mem_get_info": lambda device: (next(free), 1000 << 20), "empty_cache": lambda: modes.append("emptied"),
        "reset_peak_memory_stats": lambda device: modes.append("reset"), "set_sync_debug_mode": modes.append,
        "max_memory_allocated": lambda device: 100 << 20, "max_memory_reserved": lambda device: 200 << 20,
    }  # fmt: skip
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    memory = device_probe.Memory(torch.device("cuda"))
    memory.restart()
    assert memory.peak_mib() == {"allocated": 100.0, "reserved": 200.0, "taken": 300.0}

    def frame():
        for message in ("called a synchronizing CUDA operation", "something else") * 2:
            warnings.warn(message, stacklevel=1)

    assert device_probe.waits(frame, torch.device("cuda")) == 2
    assert modes == ["emptied", "reset", "warn", "default"]


def test_without_a_gpu_the_command_says_what_to_do(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert main(["bench", "budget", "--device", "cuda:1"]) != 0
    assert "device 'cuda:1' asked for, but PyTorch sees no CUDA device; use device: cpu" in capsys.readouterr().err
    assert main(["bench", "budget", "--device", "gpu"]) != 0
    assert "unknown device 'gpu'; known: auto, cpu, cuda, cuda:N" in capsys.readouterr().err


def test_what_belongs_to_the_cpu_is_refused(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert main(["bench", "budget", "--device", "cuda", "--bar", str(tmp_path / "bar.svg")]) != 0
    assert "--bar, --roofline and --node are of the CPU's budget" in capsys.readouterr().err
    assert main(["bench", "budget", "--device", "cuda", "--backend", "onnx"]) != 0
    assert "backend onnx is not of a GPU; known: cuda, cuda-tf32, cuda-bf16, cuda-fp16" in capsys.readouterr().err


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu_a_frame_waits_once_and_fits_a_gibibyte():
    found = device_budget.run(repeats=20)
    for row in found["ways"].values():
        assert row["waits"] == 0 and 0 < row["memory_mib"]["allocated"] < row["memory_mib"]["reserved"] < 1024
