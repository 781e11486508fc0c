# SPDX-License-Identifier: Apache-2.0
"""One input of one target, watched: which error, how long, how much memory, and whether anything was run."""

from __future__ import annotations

import resource
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mapkd_core.robustness.fuzz.targets import Target

DEADLINE_S = 10.0  # processor time; a sound input takes milliseconds
MEMORY_BYTES = 1 << 30  # beyond what the process has at the start; a picture at the bound of 64 MP takes 192 MB, twice

# Audit events (PEP 578) of code that an input must never reach.
_FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen", "socket.connect", "pty.spawn",
    "shutil.rmtree",
)  # fmt: skip


class Hang(BaseException):
    """Not an Exception: no reader may catch it."""


class Executed(BaseException):
    """The input made the reader run something."""


@dataclass(frozen=True)
class Finding:
    """what: the error's type and the line it came from; equal findings are one bug."""

    target: str
    what: str
    data: bytes
    trace: str


_watching = _is_hooked = False
_ran: list[str] = []


def _audit(event: str, arguments: Any) -> None:
    if _watching and event in _FORBIDDEN:
        _ran.append(f"{event}{str(arguments)[:80]}")
        raise Executed(event)


@contextmanager
def limits(memory_bytes: int = MEMORY_BYTES) -> Iterator[None]:
    """The bound on memory, for all cases of a run."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", "rb") as file:
        held = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + memory_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def run(target: Target, data: bytes, deadline_s: float = DEADLINE_S) -> Finding | None:
    """None where the target answers, or refuses as it documents."""
    global _watching, _is_hooked
    if not _is_hooked:
        sys.addaudithook(_audit)
        _is_hooked = True
    before = signal.signal(signal.SIGPROF, _on_deadline)
    signal.setitimer(signal.ITIMER_PROF, deadline_s)
    _ran.clear()
    _watching = True
    try:
        target.read(data)
    except target.refusals:
        pass
    except (Exception, Hang, Executed) as error:
        return _finding(target, data, error)
    finally:
        _watching = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    return Finding(target.name, f"ran {_ran[0]}", data, "") if _ran else None


def _on_deadline(number: int, frame: Any) -> None:
    raise Hang(f"still busy after {DEADLINE_S:g} s of processor time")


def _finding(target: Target, data: bytes, error: BaseException) -> Finding:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "mapkd_core" in f.filename and "fuzz" not in f.filename] or frames[-1:]
    where = f"{ours[-1].filename.rpartition('mapkd_core/')[2]}:{ours[-1].lineno} {ours[-1].name}"
    trace = "".join(traceback.format_exception(error)[-12:])[-4000:]
    return Finding(target.name, f"{type(error).__name__} in {where}", data, trace)
