# SPDX-License-Identifier: Apache-2.0
"""A DDS domain for one test alone, whatever else runs on this machine: other workers, other test runs, a demo."""

from __future__ import annotations

import fcntl
import itertools
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# 0 is what everybody uses; above 101 the ports reach into Linux's ephemeral range.
_DOMAINS = range(1, 101)
_TURN = itertools.count(os.getpid())
_PORTS = 250  # a domain's share, by the RTPS specification


@contextmanager
def own_domain() -> Iterator[int]:
    """A domain that no other test holds and on whose discovery port nobody listens; not twice in a row the same."""
    for _ in _DOMAINS:
        domain = _DOMAINS[next(_TURN) % len(_DOMAINS)]
        with (Path(tempfile.gettempdir()) / f"mapkd-test-domain-{os.getuid()}-{domain}").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if _is_silent(7400 + _PORTS * domain):
                _forget_the_killed(domain)
                yield domain
                return
    raise RuntimeError("all DDS domains from 1 to 100 are in use on this machine")


def _forget_the_killed(domain: int) -> None:
    """Remove what killed processes left of Fast DDS' shared-memory ports: who comes next would wait at a dead port."""
    for port in range(7400 + _PORTS * domain, 7400 + _PORTS * (domain + 1)):
        for name in (f"fastdds_port{port}", f"fastdds_port{port}_el", f"sem.fastdds_port{port}_mutex"):
            Path("/dev/shm", name).unlink(missing_ok=True)


def _is_silent(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
