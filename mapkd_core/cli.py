# SPDX-License-Identifier: Apache-2.0
"""The command `mapkd`: one file per sub-command in mapkd_core/commands; here are parsing, printing and exit codes.

Exit codes: 0 done, 1 the input or the environment is wrong (one line says what and the remedy), 2 wrong usage,
130 interrupted. With --json stdout holds one line of JSON and nothing else; progress always goes to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from mapkd_core import __version__
from mapkd_core.commands.result import Result

COMMANDS = (
    "demo",
    "predict",
    "bag",
    "calibration",
    "render",
    "compare",
    "ros",
    "evaluate",
    "score",
    "dataset",
    "nuscenes",
    "train",
    "ship",
    "export",
    "bench",
    "view",
    "report",
    "overfit",
)
_EXPECTED = (ValueError, OSError, ImportError, RuntimeError, FloatingPointError, MemoryError)

_DESCRIPTION = """Real-time HD maps from vehicle cameras: a BEV semantic map and its polylines.
Lengths are metres, times seconds, angles degrees on this command line; the ego frame is x forward, y left, z up."""
_EPILOG = (
    """Start with `mapkd demo`. `mapkd COMMAND --help` explains a command with its units, defaults and an example."""
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `mapkd`; returns the exit code."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    logging.basicConfig(level=logging.WARNING, format="mapkd: %(levelname)s: %(message)s", stream=sys.stderr)
    options = _parsed(arguments)
    # A termination ends children and removes temporary files as Ctrl-C does.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            result: Result = options.run(options)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except _EXPECTED as error:
        if os.environ.get("MAPKD_TRACEBACK"):
            raise
        return _fail(str(error) or type(error).__name__, 1)
    finally:
        signal.signal(signal.SIGTERM, before)
    print(json.dumps(result.summary) if options.json else result.text, flush=True)
    return 0


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """argparse takes all key=value before the first option only; those after it belong to them, too."""
    options, rest = parser().parse_known_args(arguments)
    settings = getattr(options, "settings", None)
    stray = [a for a in rest if settings is None or a.startswith("-") or "=" not in a]
    if stray:
        _Parser(prog=f"mapkd {options.command}").error(f"unrecognized arguments: {' '.join(stray)}")
    if settings is not None:
        settings.extend(rest)
    return options


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = _Parser(
        prog="mapkd", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    top.add_argument("--version", action="version", version=f"mapkd {__version__}", help="print the version and exit")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = import_module(f"mapkd_core.commands.{name}")
        text, example = module.__doc__.strip(), f"example:\n  {module.EXAMPLE}"
        sub = commands.add_parser(
            name, help=text.splitlines()[0].rstrip("."), description=text, epilog=example, formatter_class=_Formatter
        )
        module.add_arguments(sub)
        sub.add_argument(
            "--json", action="store_true", help="print a one-line JSON summary on stdout and nothing else there"
        )
        sub.set_defaults(run=module.run, command=name)
    return top


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Description and example as written; every default shown."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=110)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        default = action.default
        if not text or default is None or isinstance(default, bool) or default in (argparse.SUPPRESS, []):
            return text
        return f"{text} (default: {' '.join(map(str, default)) if isinstance(default, list) else default})"


class _Parser(argparse.ArgumentParser):
    """One line of error, as everywhere else."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"mapkd: error: {message}; see {self.prog} --help\n")


def _fail(message: str, code: int) -> int:
    print(f"mapkd: error: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
