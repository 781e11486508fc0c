# SPDX-License-Identifier: Apache-2.0
"""The table of the synchroniser: shares and waits that can be counted by hand."""

from __future__ import annotations

import importlib

import pytest

from mapkd_core.robustness.blocks import rows
from mapkd_ros.sync_bench import SCENARIOS, approximate, ours, run
from mapkd_ros.sync_streams import ANCHOR, MS, PERIOD_NS, START_NS, Streams


def test_a_perfect_stream_gives_every_map_at_once():
    streams = Streams(20, delay_ms=0)
    told = ours(streams, streams.events(), "mask")
    assert told == {"share": 1.0, "p50_ms": 0.0, "p95_ms": 0.0, "masked": 0.0, "reused": 0.0}


def test_a_dead_camera_is_masked_or_stood_in_for_while_its_last_frame_is_young_enough():
    """40 turns, dead from the 20th on; 300 ms are three periods of 83 ms: three stand-ins, then 17 masks."""
    streams = Streams(40, delay_ms=0, dead={"BACK": 20})
    events = streams.events()
    assert ours(streams, events, "mask")["masked"] == pytest.approx(20 / 40)
    reuse = ours(streams, events, "reuse")
    assert (reuse["masked"], reuse["reused"]) == pytest.approx((17 / 40, 3 / 40), abs=0.001)


def test_turns_of_a_dead_anchor_count_as_well():
    streams = Streams(40, delay_ms=0, dead={ANCHOR: 20})
    share = ours(streams, streams.events(), "mask")["share"]
    assert 0.7 < share < 0.95, "for half a second nobody stands in: six of the forty"


def test_other_rates_have_their_own_stamps():
    """Ten turns of 12 Hz are 833 ms: nine frames at 10 Hz, 17 at 20 Hz."""
    streams = Streams(10, delay_ms=0, rates_hz={"BACK": 10.0, "BACK_LEFT": 20.0})
    stamps = {
        name: [s - START_NS for _, n, s in streams.events() if n == name] for name in (ANCHOR, "BACK", "BACK_LEFT")
    }
    assert stamps[ANCHOR] == [i * PERIOD_NS for i in range(10)]
    assert stamps["BACK"] == [i * 100 * MS for i in range(9)]
    assert stamps["BACK_LEFT"] == [i * 50 * MS for i in range(17)]


def test_the_table_is_one_that_the_docs_take():
    result = run(None, {"loss": Streams(60, loss=0.2, loses_anchor=True)})
    assert result["scenarios"]["loss"]["mask"]["share"] >= 0.99
    table = rows(result)
    assert [cell.strip() for cell in table[2].split("|")[-5:-1]][1:] == ["-", "-", "-"], "not installed, not measured"
    assert "5 s of each stream" in table[-1]


def test_the_other_synchroniser_needs_all_six():
    package = importlib.import_module("message_filters")
    if not hasattr(package, "ApproximateTimeSynchronizer"):
        pytest.skip("mapkd's stand-in of message_filters has no ApproximateTimeSynchronizer")
    streams = Streams(40, delay_ms=0, dead={"BACK": 20})
    assert approximate(package, streams, streams.events(), 50)["share"] == 0.5


def test_every_scenario_loses_less_than_one_map_in_a_hundred_but_for_a_dead_anchor():
    for name, streams in SCENARIOS.items():
        told = ours(streams, streams.events(), "mask")
        assert told["share"] >= (0.95 if ANCHOR in streams.dead else 0.99), name
