# SPDX-License-Identifier: Apache-2.0
"""The README's short form says what the results say, and leaves out what is not measured."""

from __future__ import annotations

from mapkd_core.robustness.short_form import short_form


def test_a_line_for_what_is_there():
    told = short_form({"fuzz": {"cases": 12000, "findings": 3}, "speed": {}})
    assert told[0] == "| what happens | what was measured |"
    assert told[2:] == ["| hostile messages, bags, settings, weights | 12,000 cases, 3 findings |"]


def test_the_worst_camera_counts_with_and_without_memory():
    cameras = [
        {"camera": "", "miou": 0.3, "with_memory": 0.3, "always": 0.35},
        {"camera": "CAM_FRONT", "miou": 0.25, "with_memory": 0.26},
        {"camera": "CAM_BACK", "miou": 0.2, "with_memory": 0.28},
    ]
    (line,) = short_form({"memory": {"cameras": cameras}})[2:]
    assert "whole rig 30.0" in line and "remembers always has 35.0" in line
    assert "20.0 frame by frame (CAM_BACK), 26.0 with the node's memory (CAM_FRONT)" in line


def test_failed_faults_are_counted_as_such():
    rows = [["killed", "", "", "passed"], ["full", "", "", "failed"]]
    assert "1 of 2 survived" in short_form({"faults": {"rows": rows}})[2]
