# SPDX-License-Identifier: Apache-2.0
"""The declarative parameters without a node: types, ranges, groups, near misses."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from mapkd_ros.map_parameters import MapParameters
from mapkd_ros.parameters import parameter, specifications, unknown_names, validated


@dataclass(frozen=True)
class Sync:
    wait_s: float = parameter(0.1, "wait [s]", low=0.0, high=5.0)
    missing: str = parameter("mask", "policy", choices=("skip", "mask"))


@dataclass(frozen=True)
class Example:
    cameras: tuple[str, ...] = parameter(("A", "B"), "names")
    count: int = parameter(3, "number", low=1, high=8)
    sync: Sync = field(default_factory=Sync)


def test_groups_become_dotted_names_with_descriptions():
    assert [spec.name for spec in specifications(Example)] == ["cameras", "count", "sync.wait_s", "sync.missing"]
    assert all(spec.description for spec in specifications(Example))


def test_values_override_defaults_and_integers_pass_for_floats():
    result = validated(Example, {"sync.wait_s": 2, "cameras": ["C"]})
    assert result == Example(cameras=("C",), sync=Sync(wait_s=2.0))
    assert isinstance(result.sync.wait_s, float)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("sync.wait_s", 9.0, r"sync.wait_s: 9.0 is outside 0.0 .. 5.0"),
        ("sync.wait_s", float("nan"), "outside"),
        ("sync.wait_s", "soon", "not of type float"),
        ("count", True, "not of type int"),
        ("count", 2.5, "not of type int"),
        ("sync.missing", "guess", "not one of skip, mask"),
        ("cameras", "A", "not a list of str"),
    ],
)
def test_wrong_values_are_refused_with_the_name(name, value, message):
    with pytest.raises(ValueError, match=message):
        validated(Example, {name: value})


def test_typos_get_the_nearest_name():
    names = ["count", "sync.wiat_s", "use_sim_time", "qos_overrides./clock.depth", "zzz"]
    assert unknown_names(Example, names) == {"sync.wiat_s": "sync.wait_s", "zzz": ""}


@pytest.mark.parametrize(
    ("names", "message"),
    [((), "at least one"), (("CAM FRONT",), "'CAM FRONT' is no part of a topic"), (("Cam", "CAM"), "in case only")],
)
def test_camera_names_must_make_topics(names, message):
    with pytest.raises(ValueError, match=message):
        validated(MapParameters, {"cameras.names": names, "sync.anchor": names[0] if names else "CAM_FRONT"})
