# SPDX-License-Identifier: Apache-2.0
"""The road-map format: what is written comes back; what is broken is named."""

import gzip
import json

import numpy as np
import pytest
import shapely

from mapkd_core.worlds import road_map_file
from mapkd_core.worlds.road_map import Agent, RoadMap

LINE = np.array([[0.0, 0.0], [10.0, 0.5], [20.0, 0.0]])
EGO = np.column_stack([np.arange(5) * 0.1, np.arange(5) * 1.0, np.zeros(5), np.zeros(5)])


def example():
    agents = (
        Agent("VEHICLE", 4.5, 1.9, 1.6, np.array([[0.1, 5.0, 3.0, 0.1], [0.35, 6.0, 3.0, 0.1]])),
        Agent("PEDESTRIAN", 0.6, 0.6, 1.7, np.array([[0.0, 5.0, 9.0, -1.0]])),
    )
    square = shapely.box(0, -5, 20, 5).difference(shapely.box(8, -1, 12, 1))
    return RoadMap(
        "hand", (LINE,), (LINE + [0, 5], LINE - [0, 5]), (LINE + [3, 0],), (LINE + [0, 2],), EGO, agents,
        (LINE + 1,), ("divider", "boundary"), shapely.MultiPolygon([square]), ("residential",), "nowhere", "CC0",
    )  # fmt: skip


def raw(**changes):
    content = {
        "divider": [LINE.tolist()],
        "boundary": [LINE.tolist()],
        "ped_crossing": [[[0, 0], [1, 0], [1, 1], [0, 0]]],
        "lane_centerline": [],
        "ego": EGO.tolist(),
        "agents": [{"type": "VEHICLE", "length": 4, "width": 2, "height": 1.5, "poses": [[2, 0, 0, 0], [4, 1, 0, 0]]}],
    }
    return {key: value for key, value in {**content, **changes}.items() if value is not None}


def written(tmp_path, content):
    path = tmp_path / "map.json.gz"
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    return path


def test_everything_comes_back(tmp_path):
    before = example()
    road_map_file.save(before, tmp_path / "a.json.gz")
    after = road_map_file.load(tmp_path / "a.json.gz")
    for name in ("dividers", "boundaries", "crossings", "centrelines", "sd_roads"):
        for a, b in zip(getattr(before, name), getattr(after, name), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-3)
    np.testing.assert_allclose(before.ego, after.ego, atol=1e-4)
    for a, b in zip(before.agents, after.agents, strict=True):
        assert (a.kind, a.length, a.width, a.height) == (b.kind, b.length, b.width, b.height)
        np.testing.assert_allclose(a.poses, b.poses, atol=1e-4)
    for name in ("name", "labelled", "sd_road_types", "location", "licence"):
        assert getattr(before, name) == getattr(after, name)
    assert before.drivable.symmetric_difference(after.drivable).area < 0.01


def test_the_same_map_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        road_map_file.save(example(), tmp_path / f"{name}.json.gz")
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json.gz", "b.json.gz"]


def test_rings_lose_their_repeated_vertex_and_agent_rows_become_seconds(tmp_path):
    found = road_map_file.load(written(tmp_path, raw()))
    assert len(found.crossings[0]) == 3
    np.testing.assert_allclose(found.agents[0].poses[:, 0], [0.2, 0.4])
    assert found.name == "map"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"boundary": None}, "missing keys ['boundary']"),
        ({"divider": [[[0, 0], [float("nan"), 1]]]}, "divider[0] holds NaN or infinity in row 1"),
        ({"divider": [[[0, 0, 0], [1, 1, 1]]]}, "divider[0] has shape (2, 3)"),
        ({"divider": [[[0, 0], [1]]]}, "divider[0] is not a table of numbers"),
        ({"divider": 3}, "divider = 3, expected a list"),
        ({"agents": [3]}, "agents[0] = 3, expected an object"),
        ({"sd_road": [{"type": "x"}]}, "sd_road[0] = {'type': 'x'}, expected an object type points"),
        ({"drivable": [[]]}, "drivable[0] has no ring"),
        ({"ego": []}, "ego has shape (0,)"),
        ({"ego": [[0, 0, 0, 0], [0, 1, 0, 0]]}, "ego times do not rise"),
        ({"ped_crossing": [[[0, 0], [1, 1], [0, 0]]]}, "2 different vertices"),
        ({"classes_labelled": ["kerb"]}, "classes_labelled has ['kerb']"),
        ({"agents": [{"type": "VEHICLE"}]}, "agents[0] lacks ['length', 'width', 'height', 'poses']"),
        ({"agents": [{**raw()["agents"][0], "poses": [[9, 0, 0, 0]]}]}, "within 0..4 of ego"),
        ({"agents": [{**raw()["agents"][0], "width": 0}]}, "must be positive"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, changes, words):
    path = written(tmp_path, raw(**changes))
    with pytest.raises(ValueError) as error:
        road_map_file.load(path)
    assert words in str(error.value) and str(path) in str(error.value)


def test_files_that_are_no_road_maps(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no such road map"):
        road_map_file.load(tmp_path / "none.json.gz")
    path = tmp_path / "x.json.gz"
    path.write_text("{}")
    with pytest.raises(ValueError, match="not a whole gzip"):
        road_map_file.load(path)
    path.write_bytes(gzip.compress(b"x" * 10_000)[:-12])
    with pytest.raises(ValueError, match="not a whole gzip"):
        road_map_file.load(path)
    path.write_bytes(gzip.compress(b"not json"))
    with pytest.raises(ValueError, match="no JSON inside"):
        road_map_file.load(path)
    path.write_bytes(gzip.compress(b"[]"))
    with pytest.raises(ValueError, match="is a list"):
        road_map_file.load(path)
    monkeypatch.setattr(road_map_file, "MAX_BYTES", 2**20)
    path.write_bytes(gzip.compress(b" " * 2**21))
    with pytest.raises(ValueError, match="more than 1 MB"):
        road_map_file.load(path)
