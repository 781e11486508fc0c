# SPDX-License-Identifier: Apache-2.0
"""Cases of all targets, from a seed; or of one target, led by the coverage that atheris sees."""

from __future__ import annotations

import gc
import importlib
import logging
import random
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mapkd_core.bench import machine
from mapkd_core.robustness.fuzz import case, mutation
from mapkd_core.robustness.fuzz.case import Finding
from mapkd_core.robustness.fuzz.targets import Target, targets

KEPT = 20  # findings of a target, after which it is left


def fuzz(cases: int, names: Sequence[str] = (), seed: int = 0) -> tuple[dict[str, Any], list[Finding]]:
    """Result as JSON, and one finding for each place where something went wrong.

    Raises ValueError for unknown names and for fewer cases than targets.
    """
    chosen = _chosen(names)
    if cases < len(chosen):
        raise ValueError(f"cases = {cases}; at least one for each of the {len(chosen)} targets")
    total, began = sum(t.weight for t in chosen), time.monotonic()
    findings, rows = [], {}
    corpora = {target.name: target.seeds() for target in chosen}
    for target in chosen:  # what the first call imports is none of the input's doing
        for data in corpora[target.name]:
            case.run(target, data)
    with _quiet(), case.limits():
        held_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for target in chosen:
            count = max(1, round(cases * target.weight / total))
            started = time.process_time()
            found, done = _cases(target, corpora[target.name], count, random.Random(f"{seed} {target.name}"))
            findings += found
            seconds = round(time.process_time() - started, 2)
            rows[target.name] = {"cases": done, "findings": len(found), "seconds": seconds}
        grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held_kb
    return {
        "cases": sum(row["cases"] for row in rows.values()), "findings": len(findings), "seed": seed, "targets": rows,
        "deadline_s": case.DEADLINE_S, "memory_bound_mb": case.MEMORY_BYTES >> 20, "memory_grown_mb": grown_kb >> 10,
        "seconds": round(time.monotonic() - began, 1), "machine": machine.describe(1),
    }, findings  # fmt: skip


def guided(names: Sequence[str], seconds: int) -> None:
    """libFuzzer through atheris on one target; ends the process. ImportError without atheris, which pip has."""
    import sys

    atheris = importlib.import_module("atheris")
    (target,) = _chosen(names)
    with atheris.instrument_imports(include=["mapkd_core"], enable_loader_override=False):
        for data in target.seeds():
            case.run(target, data)

    def one(data: bytes) -> None:
        if (finding := case.run(target, data)) is not None:
            raise AssertionError(f"{finding.what}\n{finding.trace}")

    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-timeout=20", f"-rss_limit_mb={4096}"], one)
    with _quiet():
        atheris.Fuzz()


def _chosen(names: Sequence[str]) -> list[Target]:
    every = targets()
    if unknown := set(names) - {t.name for t in every}:
        raise ValueError(f"targets {sorted(unknown)} are unknown; known: {', '.join(t.name for t in every)}")
    return [t for t in every if not names or t.name in names]


def _cases(target: Target, corpus: list[bytes], count: int, rng: random.Random) -> tuple[list[Finding], int]:
    found: dict[str, Finding] = {}
    for number in range(count):
        data = corpus[number] if number < len(corpus) else mutation.mutated(rng.choice(corpus), corpus, rng)
        finding = case.run(target, data)
        if finding is not None:
            shorter = finding.what not in found or len(data) < len(found[finding.what].data)
            found |= {finding.what: finding} if shorter else {}
            if len(found) >= KEPT:
                return list(found.values()), number + 1
        if number % 1000 == 999:
            gc.collect()
    return list(found.values()), count


@contextmanager
def _quiet() -> Iterator[None]:
    """What readers log about hostile input is of no interest here."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
