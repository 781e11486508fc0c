# SPDX-License-Identifier: Apache-2.0
"""What nodes do under faults, across real processes: the fault tests are run, and what came of each is written down.

python -m mapkd_ros.fault_bench --out docs/results/dependability/faults.json     # 2 to 4 minutes on a quiet machine

Needs a checkout (the tests are not installed). How long a recovery took is what the test measured, `recovered_s`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mapkd_core.writing import write_json
from mapkd_ros.host import host

ROOT = Path(__file__).resolve().parents[1]
HEAD = ["fault", "what the nodes did", "after", "test"]


class Fault(NamedTuple):
    """test: file below test/ros and function; every one of its parameters counts."""

    done: str
    expected: str
    test: str


FAULTS = tuple(
    Fault(done, expected, f"test/ros/test_{file}.py::test_{name}")
    for done, expected, file, name in (
        ("map node killed, started again", "maps go on; nobody else is started anew", "faults",
         "a_map_node_that_is_killed_and_started_again_goes_on"),
        ("marker node killed, started again", "markers go on", "faults",
         "a_marker_node_that_is_killed_and_started_again_goes_on"),
        ("replay killed, started again", "a drive anew, told by temporal_reset", "faults",
         "a_replay_that_is_killed_and_started_again_is_a_drive_anew"),
        ("evaluation killed, started again", "no report of the first, a whole one of the second", "faults",
         "an_evaluation_that_is_killed_leaves_no_report_and_the_next_one_a_whole_one"),
        ("recording killed", "known as unfinished, never written over", "faults",
         "a_recording_that_is_killed_is_known_as_unfinished_and_never_written_over"),
        ("memory of the device runs out", "one map lost, the memory given back", "faults",
         "memory_of_the_device_that_ran_out_costs_one_map_and_is_given_back"),
        ("SIGINT while an inference hangs", "exit code 0", "map_node",
         "diagnostics_outlive_a_hanging_inference_and_sigint_ends_it"),
        ("SIGINT while the network loads", "exit code 0", "ends", "a_sigint_while_the_network_loads_ends_the_node"),
        ("a camera dies and comes back", "masked, told as stale, used again", "pitfalls",
         "a_camera_that_dies_is_masked_and_comes_back"),
        ("all cameras stop and come back", "no stale map; ERROR, then OK", "pitfalls",
         "when_the_cameras_stop_so_do_the_maps_and_the_diagnostics_say_so"),
        ("a camera doubles its rate", "no map lost", "pitfalls", "a_camera_of_double_rate_costs_nothing"),
        ("four cameras send garbage", "each rejected by name, maps of the rest", "map_node",
         "bad_input_is_named_counted_and_survived"),
        ("a camera changes its size", "used with its new calibration", "faults",
         "a_camera_that_changes_its_size_is_used_with_its_new_calibration"),
        ("the clock stops, races tenfold, jumps back", "told; maps go on", "pitfalls",
         "simulated_time_that_stops_jumps_back_and_races"),
        ("the bag loops", "maps go on, told by temporal_reset", "map_node", "a_jump_back_in_time_starts_again"),
        ("odometry is no number", "refused and counted, maps go on", "faults",
         "odometry_of_no_number_is_refused_and_the_maps_go_on"),
        ("disk full while recording", "a message and exit code 1", "ends",
         "a_disk_that_is_full_ends_the_recording_with_a_message"),
        ("exception in the network", "one frame lost, counted, told", "map_node",
         "an_exception_in_predict_costs_one_frame_and_is_counted"),
        ("ten lifecycle cycles", "no memory, thread or subscription left", "lifecycle",
         "ten_cycles_leave_no_memory_thread_or_subscription_behind"),
    )
)  # fmt: skip


def run(faults: Sequence[Fault] = FAULTS, root: Path = ROOT) -> dict[str, Any]:
    """head, rows and note for docs/dependability.md. FileNotFoundError without the tests."""
    files = sorted({fault.test.partition("::")[0] for fault in faults})
    for file in files:
        if not (root / file).is_file():
            raise FileNotFoundError(f"{root / file} is not there: run this from a checkout of mapkd")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "faults.xml"
        tests = [fault.test for fault in faults]
        # Exit code 1 is of tests that failed, which the report tells.
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *tests]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if not report.is_file():
            raise RuntimeError(f"pytest ended with {done.returncode} and no report: {done.stdout[-500:]}")
        found = outcomes(report.read_text())
    rows = [[fault.done, *_cells(fault, found.get(fault.test.rpartition("::")[2], []))] for fault in faults]
    machine = host()
    note = (
        "After: until the first map (or exit) that showed it, connecting again included, the longest where a test has "
        f"several; - where nothing is waited for. {machine['processor']}, {machine['cores']} cores, load "
        f"{machine['load']} at the end."
    )
    return {"head": HEAD, "rows": rows, "note": note, "machine": machine}


def outcomes(junit: str) -> dict[str, list[tuple[str, float | None]]]:
    """Test function -> (why it failed or was left out, or "passed"; seconds of recovery) of each of its cases."""
    found: dict[str, list[tuple[str, float | None]]] = {}
    for case in ElementTree.fromstring(junit).iter("testcase"):
        bad = next((part for kind in ("failure", "error", "skipped") for part in case.findall(kind)), None)
        why = "passed" if bad is None else f"{bad.tag}: {bad.get('message', '').splitlines()[0][:80]}"
        times = [float(p.get("value", 0)) for p in case.iter("property") if p.get("name") == "recovered_s"]
        found.setdefault(case.get("name", "").partition("[")[0], []).append((why, max(times, default=None)))
    return found


def _cells(fault: Fault, cases: Sequence[tuple[str, float | None]]) -> list[str]:
    bad = [why for why, _ in cases if why != "passed"] or ([] if cases else ["not run"])
    times = [seconds for _, seconds in cases if seconds is not None]
    after = f"{max(times):.2f} s" if times and not bad else "-"
    return [bad[0] if bad else fault.expected, after, "failed" if bad else "passed"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0; 1 where a fault was not survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the result as JSON, too")
    options = parser.parse_args(arguments)
    result = run()
    if options.out is not None:
        write_json(options.out, result)
    print(json.dumps(result["rows"]))
    return int(any(row[-1] != "passed" for row in result["rows"]))


if __name__ == "__main__":
    raise SystemExit(main())
