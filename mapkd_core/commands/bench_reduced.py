# SPDX-License-Identifier: Apache-2.0
"""What `mapkd bench reduced` does with the options of the other measurements."""

from __future__ import annotations

import argparse
from typing import Any


def run(options: argparse.Namespace) -> tuple[dict[str, Any], str]:
    """JSON and text."""
    from mapkd_core.bench import reduced, reduced_table

    worlds = reduced.WORLDS if options.worlds is None else options.worlds
    result = reduced.run(options.weights, worlds, options.workers, backend=options.backend)
    return result, "\n".join(reduced_table.markdown(result))
