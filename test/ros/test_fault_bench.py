# SPDX-License-Identifier: Apache-2.0
"""The table of faults: tests that are there, and what pytest's report says of them."""

from __future__ import annotations

import pytest

from mapkd_core.robustness import blocks
from mapkd_ros import fault_bench
from mapkd_ros.fault_bench import FAULTS, ROOT, Fault, outcomes, run

JUNIT = """<testsuites><testsuite>
<testcase name="test_a"><properties><property name="recovered_s" value="0.5"/>
<property name="recovered_s" value="1.25"/>
</properties></testcase>
<testcase name="test_b[1]"/>
<testcase name="test_b[2]"><failure message="assert 1 == 2&#10;more">long</failure></testcase>
<testcase name="test_c"><skipped message="no GPU"/></testcase></testsuite></testsuites>"""


def test_a_report_is_read_case_by_case():
    assert outcomes(JUNIT) == {
        "test_a": [("passed", 1.25)],
        "test_b": [("passed", None), ("failure: assert 1 == 2", None)],
        "test_c": [("skipped: no GPU", None)],
    }


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.done)
def test_every_fault_has_its_test(fault):
    file, _, name = fault.test.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text()


def test_faults_are_run_and_told(tmp_path):
    good = "def test_good(record_property):\n    record_property('recovered_s', 0.25)\n"
    (tmp_path / "test_it.py").write_text(good + "def test_bad():\n    assert 0, 'gone'\n")
    faults = [
        Fault("power cut", "it comes back", "test_it.py::test_good"),
        Fault("flood", "it swims", "test_it.py::test_bad"),
    ]
    result = run(faults, tmp_path)
    assert result["rows"][0] == ["power cut", "it comes back", "0.25 s", "passed"]
    assert result["rows"][1][0] == "flood" and "gone" in result["rows"][1][1] and result["rows"][1][3] == "failed"
    assert "power cut" in blocks.rows(result)[2]


def test_without_a_checkout_it_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="checkout"):
        fault_bench.run(FAULTS[:1], tmp_path)
