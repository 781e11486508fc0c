# SPDX-License-Identifier: Apache-2.0
"""A network that sees its pictures one by one, ahead of their frame, answers as one that sees all of them at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from test_ways import inputs

from mapkd_core.data import prepare
from mapkd_core.data.encoded_image import EncodedImage, encoding_s, features_of
from mapkd_core.data.reduced import Fitted, Picture
from mapkd_core.mapper import Mapper
from mapkd_core.models.build import build
from mapkd_core.models.onnx_graph import export, infer
from mapkd_core.performance import by_picture, ways
from mapkd_core.performance.by_picture import ByPicture
from mapkd_core.performance.cut_graph import cut
from mapkd_core.types import Frame
from mapkd_core.worlds.rig import nuscenes_rig

RIG = nuscenes_rig()
SIZE = (RIG[0].width, RIG[0].height)


@pytest.fixture(scope="module", params=["onnx", "openvino", "openvino-bf16", "onnx-int8", "openvino-int8"])
def mapper(request: pytest.FixtureRequest) -> Mapper:
    """The shipped network in each runtime that can."""
    if absent := ways.missing(request.param):
        pytest.skip(f"not installed: {', '.join(absent)}")
    if lacking := ways.WAYS[request.param].lacks():
        pytest.skip(f"this processor lacks {lacking}")
    return Mapper(None, request.param, "cpu", threads=2)


def pictures(mapper: Mapper, count: int = 6) -> list[Fitted]:
    """Coarse noise, each another one."""
    height, width = mapper.config.image_height, mapper.config.image_width
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (count, height // 16, width // 16, 3), np.uint8)
    return [Fitted(p.repeat(16, 0).repeat(16, 1), SIZE, mapper.config) for p in small]


def frame(found: list[Fitted]) -> Frame:
    return Frame(tuple(picture.of(camera) for picture, camera in zip(found, RIG, strict=False)))


@pytest.fixture
def whole_calls(mapper: Mapper, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures the whole network was run for, in each of its calls."""
    calls: list[int] = []
    run = mapper._run._whole
    monkeypatch.setattr(mapper._run, "_whole", lambda images, plan: calls.append(len(images)) or run(images, plan))
    return calls


@pytest.mark.parametrize("seen", [(0, 1, 2, 3, 4, 5), (5,), (0, 2, 3), ()])
def test_what_was_seen_ahead_changes_no_answer(mapper, whole_calls, seen):
    given = pictures(mapper)
    expected = mapper.predict(frame(given))
    ahead = [mapper.ahead(p) if i in seen else p for i, p in enumerate(given)]
    assert [isinstance(p.pixels, EncodedImage) for p in ahead] == [i in seen for i in range(6)]
    found = mapper.predict(frame(ahead))
    assert whole_calls == ([6] if seen else [6, 6]), "what was seen is not looked at again"
    assert np.abs(found.probability.astype(int) - expected.probability).max() <= ways.TOLERANCE["probability"]
    np.testing.assert_array_equal(found.observed, expected.observed)
    assert [e.class_name for e in found.elements] == [e.class_name for e in expected.elements]
    for element, wanted in zip(found.elements, expected.elements, strict=True):
        np.testing.assert_allclose(element.vertices_m, wanted.vertices_m, atol=1e-3)


def test_pictures_seen_by_several_threads_at_once_stay_apart(mapper):
    given = pictures(mapper)
    mapper.predict(frame(given))
    alone = [mapper.ahead(picture) for picture in given]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(mapper.ahead, given * 5))
    for index, found in enumerate(together):
        for name, features in alone[index % 6].pixels.features.items():
            np.testing.assert_array_equal(found.pixels.features[name], features)


def test_a_camera_that_gave_nothing_is_seen_once(mapper, whole_calls, monkeypatch):
    """It is black in every frame, and so are the places of a rig that has become smaller."""
    given = [mapper.ahead(picture) for picture in pictures(mapper)]
    lost = frame(given)
    lost = replace(lost, cameras=(*lost.cameras[:4], replace(lost.cameras[4], image=None)))
    plain = replace(lost, cameras=tuple(replace(c, image=c.pixels) for c in lost.cameras))
    expected = mapper.predict(plain)
    found = mapper.predict(lost)
    assert found.valid_cameras == expected.valid_cameras == tuple(c.name for c in RIG[:4])
    assert np.abs(found.probability.astype(int) - expected.probability).max() <= ways.TOLERANCE["probability"]
    monkeypatch.setattr(mapper._run, "encode", lambda picture: pytest.fail("seen again"))
    mapper.predict(lost)


def test_before_the_first_frame_and_at_another_size_pictures_stay_as_they_are():
    pytest.importorskip("onnxruntime")
    mapper = Mapper(None, "onnx", "cpu", threads=1)
    given = pictures(mapper)
    assert mapper.ahead(given[0]) is given[0], "nothing is compiled yet"
    mapper.predict(frame(given))
    assert mapper.ahead(given[0]) is not given[0]
    large = Picture(np.zeros((900, 1600, 3), np.uint8))
    assert mapper.ahead(large) is large
    torch = Mapper(None, "torch", "cpu")
    torch.predict(frame(given))
    assert torch.ahead(given[0]) is given[0], "PyTorch wants all at once"


def test_features_of_another_network_are_not_taken():
    pytest.importorskip("onnxruntime")
    one, other = Mapper(None, "onnx", "cpu", threads=1), Mapper(None, "torch", "cpu", threads=1)
    given = pictures(one)
    expected = one.predict(frame(given))
    ahead = frame([one.ahead(picture) for picture in given])
    assert all(features_of(camera, one) is not None and features_of(camera, other) is None for camera in ahead.cameras)
    found = other.predict(ahead)
    assert np.abs(found.probability.astype(int) - expected.probability).max() <= ways.TOLERANCE["probability"]
    prepared = prepare.prepare(ahead, one.config, network=other)
    assert prepared.images.any() and not prepare.prepare(ahead, one.config, network=one).images.any()


def test_the_way_that_is_chosen_at_the_first_frame_sees_ahead_from_then_on(monkeypatch):
    for package in ("onnx", "onnxruntime", "openvino"):
        pytest.importorskip(package)
    monkeypatch.setattr(ways.choice, "read", lambda *_: None)
    monkeypatch.setattr(ways.choice, "write", lambda *_, **__: None)
    mapper = Mapper(None, "auto", "cpu", threads=1)
    given = pictures(mapper)
    assert mapper.ahead(given[0]) is given[0]
    expected = mapper.predict(frame(given))
    ahead = [mapper.ahead(picture) for picture in given]
    assert all(isinstance(picture.pixels, EncodedImage) for picture in ahead)
    np.testing.assert_array_equal(mapper.predict(frame(ahead)).probability, expected.probability)


def test_how_long_a_picture_that_is_here_was_looked_at(monkeypatch):
    monkeypatch.setattr("time.monotonic", lambda: 10.0)
    seen = EncodedImage(np.zeros((2, 2, 3), np.uint8), {}, None, since_s=9.0)
    assert encoding_s(replace(RIG[0], image=seen), 8.0) == 1.0, "before that it was decoded"
    assert encoding_s(replace(RIG[0], image=seen), 9.75) == 0.25
    assert encoding_s(replace(RIG[0], image=seen.pixels), 8.0) == 0.0


def test_an_encoder_that_fails_is_free_for_the_next_picture():
    """Or every picture after it would wait for ever."""

    def fails(_):
        raise RuntimeError("of the runtime")

    pytest.importorskip("onnx")
    run = ByPicture(lambda images, plan: None, lambda *_: b"", lambda *_: [fails], threads=1)
    run(np.zeros((6, 3, 8, 8), np.uint8), np.zeros((1, 2, 2, 2), np.float32))
    by_picture_cut = by_picture.Cut(b"", b"", ("features",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_picture, "cut", lambda graph: by_picture_cut)
        for _ in range(3):
            with pytest.raises(RuntimeError, match="of the runtime"):
                run.encode(np.zeros((3, 8, 8), np.uint8))


def test_the_graph_is_cut_where_the_plan_is_first_needed(tiny, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model = build(tiny).eval()
    given, plan = inputs(tiny)
    export(model, tmp_path / "whole.onnx", 6, plan)
    whole = (tmp_path / "whole.onnx").read_bytes()
    parts = cut(whole)
    pictures, rest = (onnx.load_from_string(part).graph for part in parts[:2])
    assert [i.name for i in pictures.input] == ["images"] and "GridSample" not in {n.op_type for n in pictures.node}
    assert [i.name for i in rest.input] == [*parts.features, "plan"] == [*(o.name for o in pictures.output), "plan"]
    convolutions = [
        sum(n.op_type == "Conv" for n in g.node) for g in (pictures, rest, onnx.load_from_string(whole).graph)
    ]
    assert convolutions[0] + convolutions[1] == convolutions[2] and min(convolutions) > 10
    features = infer(parts.pictures, {}, 1)[0]({"images": given[None]})
    found = infer(parts.rest, {}, 1)[0]({**features, "plan": plan[None]})
    expected = infer(whole, {}, 1)[0]({"images": given[None], "plan": plan[None]})
    for name, answer in expected.items():
        np.testing.assert_array_equal(found[name], answer)


def test_a_graph_that_looks_at_no_picture_without_the_plan_is_refused():
    pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])  # noqa: E731
    node = helper.make_node("Add", ["images", "plan"], ["answer"])
    graph = helper.make_graph([node], "g", [value("images"), value("plan")], [value("answer")])
    with pytest.raises(ValueError, match="cannot be cut"):
        cut(helper.make_model(graph).SerializeToString())
