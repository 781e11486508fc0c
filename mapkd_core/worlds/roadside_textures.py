# SPDX-License-Identifier: Apache-2.0
"""The textures of the roadside of a world, and which index is what."""

from __future__ import annotations

import numpy as np

from mapkd_core.worlds import low_growth, overhead, sprites

BUSHES = range(25, 28)
SPANS = range(28, 30)
FACADES = 9  # the first textures are facades, solid from bottom to top


def draw_textures(rng: np.random.Generator, more: np.random.Generator) -> tuple[sprites.Levels, ...]:
    """Levels of RGBA images, finest first. more: numbers for bushes and spans, so that the others stay as they were."""
    makers = [lambda: sprites.facade(rng, True)] * 6 + [lambda: sprites.facade(rng, False)] * 3
    makers += [lambda: sprites.hedge(rng)] * 3 + [lambda: sprites.fence(rng)] * 3 + [lambda: sprites.tree(rng)] * 6
    makers += [lambda kind=kind: sprites.post(rng, kind) for kind in ("lamp", "sign", "sign", "bollard")]
    makers += [lambda: low_growth.bush(more)] * len(BUSHES) + [lambda: overhead.texture(more)] * len(SPANS)
    return tuple(sprites.levels(make()) for make in makers)
