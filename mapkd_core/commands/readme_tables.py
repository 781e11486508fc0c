# SPDX-License-Identifier: Apache-2.0
"""Rewrite the results in README.md and docs from JSON, tables and plots: no number there is typed by hand.

    python -m mapkd_core.commands.readme_tables          # after new results in docs/results, or new weights
    python -m mapkd_core.commands.readme_tables --check  # exit code 1 where a document is out of date

A block lies between `<!-- begin NAME -->` and `<!-- end NAME -->`; the names are the keys of readme_blocks.BLOCKS. A
block of several files gets them all, by name. Plots are drawn where matplotlib is installed; --check leaves them out.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mapkd_core.bench import distill_plot
from mapkd_core.commands.readme_blocks import BLOCKS
from mapkd_core.performance import budget_plot, scaling_plot
from mapkd_core.robustness import table as robustness_table

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    "README.md",
    "docs/model_card.md",
    "docs/worlds.md",
    "docs/performance.md",
    "docs/distillation.md",
    "docs/dependability.md",
)
# Image -> the result that it shows, and who draws it.
PLOTS: dict[str, tuple[str, Callable[[Mapping[str, Any], Path], None]]] = {
    "docs/images/budget.svg": ("docs/results/budget.json", budget_plot.bar),
    "docs/images/roofline.svg": ("docs/results/budget.json", budget_plot.roofline),
    "docs/images/scaling.svg": ("docs/results/scaling.json", scaling_plot.plot),
    "docs/images/distill.svg": ("docs/results/distill.json", distill_plot.plot),
    "docs/images/cameras.svg": ("docs/results/dependability/cameras.json", robustness_table.plot),
}
_BLOCK = re.compile(r"(<!-- begin ([\w-]+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)


def rewritten(text: str, root: Path = ROOT) -> str:
    """The document with every block made anew. Raises ValueError for a block of an unknown name."""

    def block(found: re.Match[str]) -> str:
        if found[2] not in BLOCKS:
            raise ValueError(f"block {found[2]!r} is unknown; known: {', '.join(BLOCKS)}")
        file, draw = BLOCKS[found[2]]
        found_files = {path.stem: json.loads(path.read_text()) for path in sorted(root.glob(file))}
        content = found_files if "*" in file else found_files.get(Path(file).stem)
        body = draw(content) if content else [f"Not measured yet: `{file}` is not there."]
        return "\n".join([found[1] + "", *body, "", found[3]])

    return _BLOCK.sub(block, text)


def draw_all(root: Path) -> None:
    """The plots of documents, anew; what has no result yet, and all without matplotlib, stays as it is."""
    try:
        for image, (file, draw) in PLOTS.items():
            if (root / file).is_file():
                draw(json.loads((root / file).read_text()), root / image)
    except ImportError as error:
        sys.stderr.write(f"plots left as they are: {error}\n")


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1 with --check where a document would change."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, say what is out of date")
    options = parser.parse_args(arguments)
    stale = []
    for path in (ROOT / name for name in DOCUMENTS):
        old = path.read_text()
        new = rewritten(old)
        if new != old:
            stale.append(str(path.relative_to(ROOT)))
            if not options.check:
                path.write_text(new)
    if not options.check:
        draw_all(ROOT)
    sys.stderr.write(f"{'out of date' if options.check else 'rewritten'}: {', '.join(stale) or 'nothing'}\n")
    return int(options.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
