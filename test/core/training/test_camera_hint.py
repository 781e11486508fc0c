# SPDX-License-Identifier: Apache-2.0
"""Lines told in the pictures: they lie where the pictures show them, and the head that learns them is no student's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from mapkd_core.data.camera_truth import STRIDE, camera_lines
from mapkd_core.data.prepare import Prepared
from mapkd_core.training.camera_hint import CameraHint
from mapkd_core.types import CLASSES, MapElement


def test_a_line_ahead_is_drawn_where_a_pinhole_sees_it():
    """Focal length 80 px, 2 m above the ground: y = 1 from x = 5 to 20 m runs from (61.5, 77.5) to (73.5, 53.5) px."""
    K = np.array([[[80.0, 0, 77.5], [0, 80, 45.5], [0, 0, 1]]])
    ego_T_camera = np.array([[[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 2], [0, 0, 0, 1]]])
    prepared = Prepared(np.zeros((1, 3, 96, 160), np.uint8), K, ego_T_camera, np.ones(1, bool))
    line = MapElement("divider", np.array([(5.0, 1.0), (20.0, 1.0)]))
    found = camera_lines([line], prepared, CLASSES)
    assert found.shape == (1, 3, 12, 20) and not found[:, 1:].any()
    rows, columns = found[0, 0].nonzero()
    assert (rows.min(), rows.max()) == (53 // STRIDE, 77 // STRIDE)
    assert (columns[rows.argmax()], columns[rows.argmin()]) == (61 // STRIDE, 73 // STRIDE)
    behind = MapElement("divider", np.array([(-5.0, 1.0), (-20.0, 1.0)]))
    assert not camera_lines([behind], prepared, CLASSES).any()


def test_lines_lie_on_their_paint(make_sample):
    """In the painted pictures of the fixture, the cells of the divider are yellow, for every camera that sees it."""
    sample = make_sample()
    lines = camera_lines(sample.elements, sample.prepared, CLASSES)
    images = sample.prepared.images
    yellow = (images[:, 0] > 200) & (images[:, 1] > 200) & (images[:, 2] < 100)
    h, w = lines.shape[2:]
    cells = yellow.reshape(len(images), h, STRIDE, w, STRIDE).any((2, 4))
    assert lines[:, 0].sum() > 8
    assert cells[lines[:, 0] > 0].mean() > 0.9


def test_lost_cameras_are_told_nothing(make_sample):
    sample = make_sample()
    valid = sample.prepared.valid.copy()
    valid[2] = False
    lines = camera_lines(sample.elements, replace(sample.prepared, valid=valid), CLASSES)
    assert not lines[2].any() and lines.any()


def test_the_hint_is_learned():
    features = torch.randn(2, 3, 8, 6, 9)
    lines = (features[:, :, :2] > 0.5).to(torch.uint8)
    hint = CameraHint(8, 2)
    optimizer = torch.optim.Adam(hint.parameters(), 0.1)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = hint(features, lines)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.4 * losses[0]
