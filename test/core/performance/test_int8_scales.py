# SPDX-License-Identifier: Apache-2.0
"""int8 without calibration: the scales in the card of the weights make the very graph that was scored."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mapkd_core.commands import ship
from mapkd_core.mapper import SHIPPED
from mapkd_core.models.build import build
from mapkd_core.models.inference import make_runner, torch_runner
from mapkd_core.performance import beside_pytorch, choice, int8, ways
from mapkd_core.performance.int8_scales import SCALES, has_scales, scales_of
from mapkd_core.training.checkpoint import load_weights, read_card, save_weights

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
DIGEST = "0" * 64


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def calibrated(tiny, monkeypatch):
    """A network, and its graph as calibrated on two frames; a second calibration fails."""
    model, given = build(tiny).eval(), beside_pytorch.noise(tiny, 2)
    monkeypatch.setattr(int8, "calibration_frames", lambda config: iter([given, (given[0] // 2, given[1])]))
    graph = int8.quantised(model, {"sha256": DIGEST}, *given)
    monkeypatch.setattr(int8, "calibration_frames", lambda config: pytest.fail("calibrated again"))
    return model, given, graph


def test_two_products_of_bytes_never_overflow_16_bits(calibrated):
    """Of weights as large as they get: processors without dot products of bytes add two of them in 16 bits."""
    found = onnx.load_from_string(calibrated[2]).graph
    known = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in found.initializer}
    weights = [array for array in known.values() if array.dtype == np.int8 and array.ndim == 4]
    assert len(weights) > 10
    assert 2 * 255 * max(abs(array.astype(int)).max() for array in weights) < 2**15


def test_the_cards_scales_make_the_graph_that_calibration_made(calibrated):
    model, given, graph = calibrated
    card = {"sha256": DIGEST, SCALES: json.loads(json.dumps(scales_of(graph)))}
    black = np.zeros_like(given[0])  # what the frame shows must not count
    assert int8.quantised(model, card, black, given[1]) == graph


def test_other_scales_make_a_graph_of_their_own(calibrated):
    model, given, graph = calibrated
    wider = {name: (2 * step, zero) for name, (step, zero) in scales_of(graph).items()}
    other = int8.quantised(model, {"sha256": DIGEST, SCALES: wider}, *given)
    assert other != graph
    assert {name: pytest.approx(pair) for name, pair in wider.items()} == scales_of(other)


@pytest.mark.parametrize("change", ["fewer", "more"])
def test_scales_of_another_graph_are_refused_by_name(calibrated, change):
    model, given, graph = calibrated
    scales = scales_of(graph)
    name = min(scales)
    odd = {k: v for k, v in scales.items() if k != name} if change == "fewer" else scales | {"/elsewhere": (1.0, 0)}
    told = name if change == "fewer" else "/elsewhere"
    with pytest.raises(ValueError, match=f"fit another graph: '{told}' is in one of the two alone; .* or remove int8_"):
        int8.quantised(model, {"sha256": DIGEST, SCALES: odd}, *given)


@pytest.mark.parametrize(
    ("lost", "with_scales", "is_tried"), [(0.1, True, True), (0.6, True, False), (0.1, False, False)]
)
def test_auto_tries_int8_where_the_card_vouches_for_it_and_has_its_scales(calibrated, lost, with_scales, is_tried):
    model, given, graph = calibrated
    card = {"sha256": DIGEST, "miou_lost": {"onnx-int8": lost}} | ({SCALES: scales_of(graph)} if with_scales else {})
    ways.auto_runner(model, card, 1)(*given)
    kept = choice.read(choice.key(DIGEST, 1), ["onnx-int8"])
    assert (kept is not None) == is_tried or ways.missing("openvino")  # one candidate alone is not measured


def test_scales_that_do_not_fit_leave_the_other_ways(calibrated, caplog):
    model, given, _ = calibrated
    card = {"sha256": DIGEST, "miou_lost": {"onnx-int8": 0.0}, SCALES: {"/elsewhere": (1.0, 0)}}
    answers, expected = ways.auto_runner(model, card, 1)(*given), torch_runner(model)(*given)
    np.testing.assert_allclose(answers[2], expected[2], atol=1e-4)
    assert "onnx-int8 does not run here: int8_scales of the weights' card fit another graph" in caplog.text


def test_the_shipped_scales_fit_the_shipped_network_here(monkeypatch):
    """With the installed versions of PyTorch and onnx, which name the activations."""
    monkeypatch.setattr(int8, "_rendered", lambda *given: pytest.fail("calibrated"))
    model, card = load_weights(SHIPPED)
    assert has_scales(card) and card["miou_lost"]["onnx-int8"] <= ways.MOST_LOST
    given = beside_pytorch.noise(model.config, 6)
    graph = int8.quantised(model, card, *given)
    assert scales_of(graph) == {name: tuple(pair) for name, pair in card[SCALES].items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx-int8", "openvino-int8"])
def test_the_shipped_network_in_int8_stays_near_pytorch(name):
    """On average, over frames that calibration has not seen."""
    if absent := ways.missing(name):
        pytest.skip(f"not installed: {', '.join(absent)}")
    model, card = load_weights(SHIPPED)
    beside_pytorch.checked_int8(model, make_runner(model, name, "cpu", card), int8.checking_frames(model.config))


def test_ship_writes_the_scales_of_what_it_vouches_for(calibrated, tiny, tmp_path):
    model, _, graph = calibrated
    save_weights(tmp_path / "student.safetensors", model.state_dict(), tiny, {})
    card = read_card(tmp_path / "student.safetensors")
    assert ship._scales(card | {"miou_lost": {"openvino-bf16": 0.1}}, model) == {}
    found = ship._scales(card | {"sha256": DIGEST, "miou_lost": {"openvino-int8": 0.1}}, model)
    assert found == {SCALES: scales_of(graph)}


@pytest.mark.parametrize(
    "scales", [[], {"a": 1.0}, {"a": [1.0]}, {"a": [0.0, 3]}, {"a": [1.0, 256]}, {"a": [float("inf"), 0]}, {"a": "no"}]
)
def test_a_card_with_odd_scales_is_refused(tiny, tmp_path, scales):
    path = tmp_path / "student.safetensors"
    save_weights(path, build(tiny).state_dict(), tiny, {SCALES: scales})
    with pytest.raises(ValueError, match=r"int8_scales have .* see `mapkd ship|is not valid JSON"):
        read_card(path)
