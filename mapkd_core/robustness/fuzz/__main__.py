# SPDX-License-Identifier: Apache-2.0
"""Run the fuzzer; exit code 1 and files in --out where it finds something."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mapkd_core.robustness.fuzz.run import fuzz, guided
from mapkd_core.writing import write_json


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 where anything was found."""
    parser = argparse.ArgumentParser(prog="python -m mapkd_core.robustness.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, metavar="N", help="in all, shared by the targets")
    parser.add_argument("--target", nargs="+", default=[], metavar="NAME", help="which of them; all if absent")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="another one gives other cases")
    parser.add_argument("--engine", choices=("mutation", "atheris"), default="mutation", help="atheris: by coverage")
    parser.add_argument("--seconds", type=int, default=60, metavar="S", help="atheris: for how long, one target")
    parser.add_argument("--out", type=Path, metavar="DIR", help="inputs that were found, and result.json")
    options = parser.parse_args(arguments)
    if options.engine == "atheris":
        guided(options.target, options.seconds)  # does not come back
    result, findings = fuzz(options.cases, options.target, options.seed)
    for number, finding in enumerate(findings):
        sys.stderr.write(f"{finding.target}: {finding.what}\n{finding.trace}\n")
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            (options.out / f"{number:02d}-{finding.target}").write_bytes(finding.data)
    if options.out:
        write_json(options.out / "result.json", result)
    sys.stdout.write(f"{result['cases']} cases, {result['seconds']} s, {len(findings)} findings\n")
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
