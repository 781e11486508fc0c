# SPDX-License-Identifier: Apache-2.0
"""Cases of every target, from a fixed seed: 10,000 in CI ($CI), some hundreds elsewhere. And the harness itself."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapkd_core.bags import from_messages
from mapkd_core.robustness.fuzz import case, run
from mapkd_core.robustness.fuzz.targets import Target, targets


def cases() -> int:
    return int(os.environ.get("MAPKD_FUZZ_CASES") or (10_000 if os.environ.get("CI") else 400))


def test_no_input_does_harm(tmp_path) -> None:
    """In a process of its own: its memory is bounded, and what hangs in C is killed."""
    command = [sys.executable, "-m", "mapkd_core.robustness.fuzz", "--cases", str(cases()), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    assert " 0 findings" in done.stdout


def _seek(data: bytes) -> None:
    kind = data[:1]
    if kind == b"h":
        while True:
            pass
    if kind == b"r":
        os.system("true")
    if kind == b"k":
        raise KeyError("x")
    if kind == b"m":
        bytearray(8 << 30)
    raise ValueError("refused")


TARGET = Target("own", _seek, lambda: [b"v"])


@pytest.mark.parametrize(
    ("data", "what"),
    [(b"v", None), (b"k", "KeyError"), (b"h", "Hang"), (b"r", "Executed"), (b"m", "MemoryError")],
)
def test_the_harness_sees_crash_hang_run_and_allocation(data: bytes, what: str | None) -> None:
    with case.limits():
        finding = case.run(TARGET, data, deadline_s=0.3)
    assert (finding is None) if what is None else finding is not None and finding.what.startswith(what)


def test_one_bug_is_one_finding_and_its_shortest_input_is_kept(monkeypatch) -> None:
    monkeypatch.setattr(run, "targets", lambda: (Target("own", _seek, lambda: [b"kkkk", b"v"]),))
    result, findings = run.fuzz(60)
    assert [f.what.split()[0] for f in findings] == ["KeyError"] and result["targets"]["own"]["cases"] == 60
    assert len(findings[0].data) <= 4
    with pytest.raises(ValueError, match="are unknown; known: own"):
        run.fuzz(60, ["other"])


def test_names_are_unique() -> None:
    names = [target.name for target in targets()]
    assert len(set(names)) == len(names) >= 20


_U32 = st.one_of(st.integers(0, 40), st.sampled_from([2**31, 2**32 - 1, 10**9]))
_FIELD = st.builds(
    SimpleNamespace, name=st.sampled_from(["x", "y", "z", "intensity", "ring", "t"]), offset=_U32,
    datatype=st.integers(0, 12), count=_U32,
)  # fmt: skip


@settings(max_examples=200)
@given(
    st.builds(
        SimpleNamespace, fields=st.lists(_FIELD, min_size=2, max_size=6), height=_U32, width=_U32, point_step=_U32,
        row_step=_U32, is_bigendian=st.booleans(),
        data=st.integers(0, 200).map(lambda n: np.arange(n, dtype=np.uint8)),
    )
)  # fmt: skip
def test_any_layout_of_a_cloud_is_read_or_refused(message: SimpleNamespace) -> None:
    try:
        points = from_messages.points(message)
    except ValueError:
        return
    assert points.shape[0] == message.height * message.width and points.shape[0] <= len(message.data)


@settings(max_examples=200)
@given(
    st.builds(
        SimpleNamespace, encoding=st.sampled_from(["rgb8", "bgr8", "rgba8", "mono8", "16UC1", ""]), width=_U32,
        height=_U32, step=_U32, is_bigendian=st.booleans(), data=st.binary(max_size=200),
    )
)  # fmt: skip
def test_any_header_of_an_image_is_read_or_refused(message: SimpleNamespace) -> None:
    try:
        image = from_messages.image(from_messages.RAW_IMAGE, message)
    except ValueError:
        return
    assert image.shape == (message.height, message.width, 3) and message.height * message.step == len(message.data)
