# SPDX-License-Identifier: Apache-2.0
"""When a camera counts as silent: dead, yes; starved together with all the others, or slow as all the others, no."""

from __future__ import annotations

from streams import CAMERAS, MS, PERIOD_NS, START_NS, assert_in_order, events, play, policy

from mapkd_ros.silence import SilenceWatch
from mapkd_ros.synchroniser import CameraSynchroniser


def test_a_starved_process_blames_no_camera():
    """Nothing is processed for two seconds, then all at once and in any order: no stand-in, no camera left out."""
    stream = events(count=48, spread_ms=20)
    begin_ns, end_ns = 1_000 * MS, 3_000 * MS
    late = [(max(arrival, end_ns), camera, stamp) for arrival, camera, stamp in stream if arrival > begin_ns]
    # As queues of depth 1 would have it: of the time without a processor only the last of each camera is left.
    newest = {camera: (arrival, camera, stamp) for arrival, camera, stamp in late if arrival == end_ns}
    burst = [newest[camera] for camera in reversed(CAMERAS)]
    rest = [event for event in late if event[0] > end_ns]
    synchroniser = CameraSynchroniser(policy())
    sets = play(synchroniser, [*(event for event in stream if event[0] <= begin_ns), *burst, *rest])
    assert synchroniser.counts["anchor_stand_in"] == 0
    assert all(len(s.frames) == 6 for s in sets)
    assert len(sets) == sum(camera == "FRONT" for _, camera, _ in burst + rest) + 12


def test_keyframes_at_two_hertz_are_not_silence():
    synchroniser = CameraSynchroniser(policy(silent_ns=400 * MS))
    step_ns = 500 * MS - PERIOD_NS
    slow = [
        (a + (s - START_NS) // PERIOD_NS * step_ns, c, s + (s - START_NS) // PERIOD_NS * step_ns)
        for a, c, s in events(20)
    ]
    sets = play(synchroniser, slow)
    assert len(sets) == 20 and all(len(s.frames) == 6 and s.anchor == "FRONT" for s in sets)


def test_a_dead_anchor_is_stood_in_for_within_the_limit():
    synchroniser = CameraSynchroniser(policy(silent_ns=300 * MS))
    stream = [event for event in events(count=48) if event[1] != "FRONT" or event[2] < START_NS + 12 * PERIOD_NS]
    sets = play(synchroniser, stream)
    stood_in = [s for s in sets if s.anchor != "FRONT"]
    assert {s.anchor for s in stood_in} == {"FRONT_RIGHT"}
    assert 48 - 12 - 5 <= len(stood_in) <= 48 - 12
    assert_in_order(sets)


def test_a_clock_that_jumps_back_neither_ends_nor_excuses_a_silence():
    watch = SilenceWatch(("A", "B"), 500)
    watch.hear("B", 10_000)
    for now_ns in (100, 200, 300, 400, 500, 600):
        watch.hear("A", now_ns)
    assert not watch.is_silent("B", 600) and watch.is_silent("B", 601)
