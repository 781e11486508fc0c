# SPDX-License-Identifier: Apache-2.0
"""Mapper: a frame in, a map out, whatever cameras the frame has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import mapkd_core.mapper as mapper_module
from mapkd_core.geometry import planar
from mapkd_core.grid import BevGrid
from mapkd_core.mapper import Mapper
from mapkd_core.models.build import build
from mapkd_core.training.checkpoint import save_weights
from mapkd_core.types import CLASSES, Frame
from mapkd_core.vectorising.query_lines import query_elements


@pytest.fixture(scope="module")
def weights(tmp_path_factory, tiny):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_weights(path, build(tiny).state_dict(), tiny, {"vectors": "query", "min_confidence": 0.0})
    return path


@pytest.fixture(scope="module")
def mapper(weights) -> Mapper:
    return Mapper(weights, backend="torch")


@pytest.fixture
def frame(rig, make_sample) -> Frame:
    images = make_sample().prepared.images.transpose(0, 2, 3, 1)
    return Frame(tuple(replace(c, image=image) for c, image in zip(rig, images)), stamp_ns=1_234_567)


def test_map_of_a_frame(mapper, frame, tiny):
    found = mapper.predict(frame)
    assert found.grid == mapper.grid == tiny.grid and found.classes == mapper.classes == CLASSES
    assert found.stamp_ns == 1_234_567
    assert found.probability.shape == (3, 40, 80) and found.probability.dtype == np.uint8
    assert found.observed.shape == (40, 80) and found.observed.dtype == bool and found.observed.any()
    assert found.valid_cameras == tuple(c.name for c in frame.cameras)
    assert found.times_ms.keys() == {"prepare", "plan", "network", "vectorise"}
    assert 1 < len(found.elements) <= tiny.queries
    confidences = [e.confidence for e in found.elements]
    assert confidences == sorted(confidences, reverse=True)
    assert all(e.is_closed == (e.class_name == "ped_crossing") for e in found.elements)


def test_a_card_that_names_an_unknown_head_is_refused(tmp_path, tiny):
    path = tmp_path / "tiny.safetensors"
    save_weights(path, build(tiny).state_dict(), tiny, {"vectors": "magic"})
    with pytest.raises(ValueError, match=r"tiny\.json: vectors = 'magic'; known: query, raster"):
        Mapper(path, backend="torch", vectors="query")


def test_more_cameras_than_a_network_takes_are_refused(weights, frame):
    mapper = Mapper(weights, backend="torch")  # its own: it keeps the size of the largest rig it saw
    assert len(mapper.predict(replace(frame, cameras=(frame.cameras * 2)[:8])).valid_cameras) == 8
    with pytest.raises(ValueError, match="the frame has 9 cameras; give it 1 to 8"):
        mapper.predict(replace(frame, cameras=(frame.cameras * 2)[:9]))


def test_same_frame_gives_the_same_map(weights, mapper, frame):
    first, again, other = mapper.predict(frame), mapper.predict(frame), Mapper(weights, backend="torch").predict(frame)
    for found in (again, other):
        np.testing.assert_array_equal(found.probability, first.probability)
        for a, b in zip(found.elements, first.elements, strict=True):
            assert a.class_name == b.class_name and a.confidence == b.confidence
            np.testing.assert_array_equal(a.vertices_m, b.vertices_m)


def test_missing_camera_is_marked_and_leaves_its_side_unobserved(mapper, frame):
    front = frame.cameras[0].name
    cameras = tuple(replace(c, image=None) if c.name == front else c for c in frame.cameras)
    found, whole = mapper.predict(replace(frame, cameras=cameras)), mapper.predict(frame)
    assert front not in found.valid_cameras and len(found.valid_cameras) == 5
    assert found.observed.sum() < whole.observed.sum() and not (found.observed & ~whole.observed).any()


@pytest.mark.parametrize("cameras", [1, 2, 7])
def test_other_rigs_work_with_the_same_weights(mapper, frame, cameras):
    chosen = (frame.cameras + frame.cameras[:1])[:cameras]
    assert len(mapper.predict(replace(frame, cameras=chosen)).valid_cameras) == cameras


def test_a_camera_that_leaves_keeps_the_shape_of_the_network(weights, frame):
    """Gone from the frame or there without a picture: the same map, from tensors of the same shape."""
    mapper, shapes = Mapper(weights, backend="torch"), []
    run = mapper._run
    mapper._run = lambda images, plan: (shapes.append(images.shape), run(images, plan))[1]
    mapper.predict(frame)
    blind = (replace(frame.cameras[0], image=None), *frame.cameras[1:])
    gone = mapper.predict(replace(frame, cameras=frame.cameras[1:]))
    dark = mapper.predict(replace(frame, cameras=blind))
    assert len(set(shapes)) == 1
    assert gone.valid_cameras == dark.valid_cameras
    np.testing.assert_allclose(gone.probability.astype(int), dark.probability, atol=1)


def test_new_calibration_is_followed(mapper, frame):
    """The plan is kept while the calibration stays, and only then."""
    before = mapper.predict(frame).observed
    turned = tuple(replace(c, ego_T_camera=np.diag([-1.0, -1.0, 1.0, 1.0]) @ c.ego_T_camera) for c in frame.cameras[:1])
    one = mapper.predict(replace(frame, cameras=frame.cameras[:1])).observed
    other = mapper.predict(replace(frame, cameras=turned)).observed
    np.testing.assert_array_equal(other, one[::-1, ::-1])
    np.testing.assert_array_equal(mapper.predict(frame).observed, before)


def test_an_expected_frame_is_planned_ahead_and_a_wrong_guess_changes_nothing(weights, frame, monkeypatch):
    mapper, planned = Mapper(weights, backend="torch"), []
    make = mapper_module.plan
    monkeypatch.setattr(mapper_module, "plan", lambda *given: planned.append(given) or make(*given))
    mapper.expect([camera.ego_T_camera for camera in frame.cameras])  # of a rig it has not seen: nothing to go by
    assert not planned
    mapper.predict(frame)
    moved = tuple(replace(c, ego_T_camera=planar(0.3, 0, 0.01) @ c.ego_T_camera) for c in frame.cameras)
    mapper.expect([camera.ego_T_camera for camera in moved])
    assert len(planned) == 2
    found = mapper.predict(replace(frame, cameras=moved))
    assert len(planned) == 2  # it had been made
    fresh = Mapper(weights, backend="torch").predict(replace(frame, cameras=moved))
    np.testing.assert_array_equal(found.probability, fresh.probability)
    blind = (replace(moved[0], image=None), *moved[1:])
    mapper.expect([camera.ego_T_camera for camera in moved])
    found, fresh = (m.predict(replace(frame, cameras=blind)) for m in (mapper, Mapper(weights, backend="torch")))
    np.testing.assert_array_equal(found.observed, fresh.observed)
    np.testing.assert_array_equal(found.probability, fresh.probability)
    mapper.expect([camera.ego_T_camera for camera in moved[:2]])  # a smaller rig: no guess


def test_no_picture_at_all_is_refused(mapper, frame):
    blind = tuple(replace(c, image=None) for c in frame.cameras)
    with pytest.raises(ValueError, match="none of the 6 cameras has a picture"):
        mapper.predict(replace(frame, cameras=blind))
    with pytest.raises(ValueError, match="no camera"):
        mapper.predict(Frame(()))


def test_picture_of_another_size_is_refused_with_the_cameras_name(mapper, frame):
    wrong = replace(frame.cameras[2], image=np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(ValueError, match=f"{wrong.name}: picture is"):
        mapper.predict(replace(frame, cameras=(*frame.cameras[:2], wrong)))


def test_vectors_of_the_raster_head(weights, frame):
    found = Mapper(weights, backend="torch", vectors="raster", min_confidence=0.0).predict(frame)
    assert all(e.class_name in CLASSES for e in found.elements)


def test_confidence_bound_applies(weights, mapper, frame):
    everything = mapper.predict(frame).elements
    bound = everything[1].confidence - 1e-4  # two runs may differ in the eighth digit
    found = Mapper(weights, backend="torch", min_confidence=bound).predict(frame).elements
    wanted = [e.confidence for e in everything if e.confidence >= bound]
    assert [e.confidence for e in found] == pytest.approx(wanted, abs=1e-6) and len(found) == 2


def test_backends_agree(weights, mapper, frame, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fast, slow = Mapper(weights, backend="onnx", threads=1).predict(frame), mapper.predict(frame)
    assert np.abs(fast.probability.astype(int) - slow.probability.astype(int)).max() <= 1


def test_lift_splat_student_predicts_and_observes(tmp_path, tiny, frame):
    config = replace(tiny, view="lift_splat")
    save_weights(tmp_path / "splat.safetensors", build(config).state_dict(), config, {})
    found = Mapper(tmp_path / "splat.safetensors", backend="torch").predict(frame)
    assert found.observed.shape == (40, 80) and 0 < found.observed.mean() < 1


@pytest.mark.parametrize(("argument", "known"), [({"vectors": "both"}, "query"), ({"backend": "tensorflow"}, "onnx")])
def test_unknown_choices_are_refused(weights, argument, known):
    with pytest.raises(ValueError, match=known):
        Mapper(weights, **argument)


def test_query_answers_become_metres():
    scores = np.array([[0.1, 0.2, 0.9], [0.8, 0.1, 0.1], [0.05, 0.3, 0.1]])
    points = np.array([[[0, 0], [1, 1]], [[0.5, 0.5], [0.5, 1.2]], [[0.1, 0.1], [0.2, 0.1]]])
    found = query_elements(scores, points, BevGrid(), CLASSES, 0.3)
    assert [(e.class_name, e.confidence, e.is_closed) for e in found] == [
        ("boundary", 0.9, False), ("divider", 0.8, False), ("ped_crossing", 0.3, True),
    ]  # fmt: skip
    np.testing.assert_allclose(found[0].vertices_m, [(-30, -15), (30, 15)])
    np.testing.assert_allclose(found[1].vertices_m, [(0, 0), (0, 15)])  # outside the range is moved to its edge


def test_a_line_found_twice_is_given_once():
    """The more confident one stays; a parallel line a lane away, and another class on the same place, stay too."""
    line = np.stack([np.linspace(0.2, 0.8, 20), np.full(20, 0.5)], -1)
    half_a_metre, a_lane = (0, 0.5 / 30), (0, 3.5 / 30)
    points = np.stack([line, line[::-1] + half_a_metre, line + a_lane, line])
    scores = np.array([[0.6, 0, 0], [0.9, 0, 0], [0.5, 0, 0], [0, 0, 0.4]])
    found = query_elements(scores, points, BevGrid(), CLASSES, 0.3)
    assert [(e.class_name, e.confidence) for e in found] == [("divider", 0.9), ("divider", 0.5), ("boundary", 0.4)]
