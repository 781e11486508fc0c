# SPDX-License-Identifier: Apache-2.0
"""What fuzzing found, each once more: a documented error, not a crash. And what must never run, does not run."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from mapkd_core.bags import from_messages, to_messages
from mapkd_core.bags.storage import BagReader
from mapkd_core.config import TrainConfig, load
from mapkd_core.data.calibration import numbers, read_calibration
from mapkd_core.data.frame_folder import read_frame_folder
from mapkd_core.evaluation.map_files import read_maps
from mapkd_core.reading import parse_json, parse_yaml
from mapkd_core.robustness.fuzz import bag_targets, seeds, targets
from mapkd_core.training.checkpoint import load_training


def written(tmp_path: Path, name: str, data: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "text", ["a\x07b", "!!int ''", "!!bool x", "!!timestamp x", "[" * 5000, "a: [", "!!binary \xff", "9" * 5000]
)
def test_odd_yaml_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="it is not valid YAML"):
        parse_yaml(text, "it")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model: {grid: {x_max: 15, 0: 1}}", "unknown setting model.grid.0; known"),
        ("model: {grid: {x_min: -.inf}}", "is not of finite numbers"),
        (f"weights: {{point: {'9' * 400}}}", "weights.point = 9999999999.*: expected a number"),
        ("weights: {point: .inf}", "weights.point = inf: expected a number"),
    ],
)
def test_odd_settings_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load(TrainConfig, written(tmp_path, "t.yaml", text.encode()))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, b"\xff", "{"])
def test_odd_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="it is not valid JSON"):
        parse_json(text, "it")


def test_ten_lines_of_yaml_make_no_billion_values(tmp_path: Path) -> None:
    bomb = seeds.calibrations_yaml()[1]
    with pytest.raises(ValueError, match="more than 1000000 values"):
        read_calibration(written(tmp_path, "c.yaml", bomb))
    with pytest.raises(ValueError, match="lies inside what it stands for"):
        read_calibration(written(tmp_path, "d.yaml", b"cameras: &a {x: *a}\n"))
    assert parse_yaml("a: &m [1, 2]\nb: *m\n", "it") == {"a": [1, 2], "b": [1, 2]}


def test_a_number_of_400_digits_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a rectangular array of numbers"):
        numbers([10**400, 1], "K")
    content = b'{"frames": {"t": [{"class": "divider", "points": [[%s, 0], [1, 1]], "score": 1}]}}' % (b"9" * 400)
    with pytest.raises(ValueError, match="frame t, element 0"):
        read_maps(written(tmp_path, "m.json", content), with_score=True)


@pytest.mark.parametrize(
    "change", [{"queries": 10**9}, {"query_layers": 10**6}, {"bev_width": -8}, {"classes": ["x"] * 1000},
               {"grid": {"cell": 1e-5}}, {"grid": {"cell": 10**400}}],
)  # fmt: skip
def test_a_card_that_asks_for_a_giant_is_refused_before_it_is_built(change: dict[str, object]) -> None:
    card = json.loads(seeds.card())
    card["model"] |= change
    with pytest.raises(ValueError, match=r"must be 0 to|at most|expected float"):
        targets.read_card(json.dumps(card).encode())


def test_nothing_in_settings_or_checkpoints_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    yaml = f"data: !!python/object/apply:os.system ['touch {mark}']\n".encode()
    with pytest.raises(ValueError, match="could not determine a constructor"):
        load(TrainConfig, written(tmp_path, "t.yaml", yaml))

    class Touch:
        def __reduce__(self) -> object:
            return os.system, (f"touch {mark}",)

    import pickle

    import torch

    for path in (tmp_path / "zip.pt", tmp_path / "raw.pt"):
        torch.save({"config": Touch()}, path) if path.stem == "zip" else path.write_bytes(pickle.dumps(Touch()))
        with pytest.raises(ValueError, match="damaged or no checkpoint"):
            load_training(path)
    assert not mark.exists()


def test_a_cut_pickle_is_a_damaged_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="damaged or no checkpoint"):
        load_training(written(tmp_path, "last.pt", b"\x80\x02t."))  # a tuple without its mark


def test_points_of_an_unknown_type_are_named() -> None:
    cloud = to_messages.point_cloud(0, "lidar", np.ones((2, 4), np.float32))
    cloud.fields[1].datatype = 9
    with pytest.raises(ValueError, match="point cloud has y of 9"):
        from_messages.points(cloud)


@pytest.mark.parametrize("change", [{"height": 10**9}, {"width": 10**9}, {"point_step": 2**31}, {"row_step": 2**31}])
def test_a_cloud_that_claims_a_billion_points_is_refused_before_they_are_made(change: dict[str, int]) -> None:
    cloud = to_messages.point_cloud(0, "lidar", np.ones((2, 4), np.float32))
    for name, value in change.items():
        setattr(cloud, name, value)
    with pytest.raises(ValueError, match="point cloud of"):
        from_messages.points(cloud)


def test_a_foxglove_image_without_its_fields_is_skipped() -> None:
    (sound,) = bag_targets._foxglove()
    assert bag_targets.read_foxglove(sound) is not None
    assert bag_targets.read_foxglove(sound.replace(b"timestamp", b"timestomp")) is None


def test_a_damaged_sqlite_bag_is_a_bag_error(tmp_path: Path) -> None:
    """The rows of the messages are overwritten; the table of topics is whole."""
    path = written(tmp_path, "a.db3", bag_targets._bag("db3")[0])
    with sqlite3.connect(path) as base:
        size = base.execute("pragma page_size").fetchone()[0]
        root = base.execute("select rootpage from sqlite_master where name = 'messages'").fetchone()[0]
    data = bytearray(path.read_bytes())
    data[(root - 1) * size : root * size] = b"\x55" * size
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"bag .*a\.db3"), BagReader(path) as reader:
        list(reader.messages())


def test_a_record_that_claims_more_than_the_memory_is_a_bag_error(tmp_path: Path) -> None:
    data = bytearray(bag_targets._bag("mcap")[0])
    data[9:17] = (2**62).to_bytes(8, "little")  # the header's length
    with (
        pytest.raises(ValueError, match=r"bag .*a\.mcap"),
        BagReader(written(tmp_path, "a.mcap", bytes(data))) as reader,
    ):
        list(reader.messages())


def test_sound_inputs_are_read() -> None:
    hostile = {"calibration_yaml": {1, 2}, "settings": {1}, "checkpoint": {1, 2, 3}, "settings ": set()}
    for target in targets.targets():
        for number, data in enumerate(target.seeds()):
            if number in hostile.get(target.name, set()):
                with pytest.raises(ValueError):
                    target.read(data)
            elif target.name == "settings" and b"scheme_settings" in data:
                target.read(data)
            else:
                assert target.read(data) is not None, target.name


@pytest.mark.parametrize("offset", [12, 2**31 - 4, 2**31, 2**32 - 1])
def test_a_field_outside_its_point_is_never_read(offset: int) -> None:
    """numpy takes an offset of 2^31 - 4 and reads two gigabytes beyond the message."""
    message = to_messages.point_cloud(1, "lidar", np.zeros((4, 4), np.float32))
    message.fields[2].offset = offset
    message.point_step = 12
    message.row_step = message.width * 12
    message.data = message.data[: message.height * message.row_step]
    with pytest.raises(ValueError, match="point cloud's z ends at byte"):
        from_messages.points(message)


def test_long_names_and_scores_are_refused(tmp_path: Path) -> None:
    (tmp_path / "frame.json").write_bytes(b'{"cameras": {"A": {"file": "%s"}}}' % (b"x" * 300))
    with pytest.raises(ValueError):
        read_frame_folder(tmp_path)
    line = b'{"class": "divider", "points": [[0, 0], [1, 1]], "score": %s}' % (b"9" * 400)
    with pytest.raises(ValueError, match="predictions need a finite number"):
        read_maps(written(tmp_path, "m.json", b'{"frames": {"t": [%s]}}' % line), with_score=True)
