# SPDX-License-Identifier: Apache-2.0
"""A training-only head that shows the camera encoder where the lines are in the pictures.

From nothing, a student learns next to nothing in its first thousand frames: the encoder hears of a line only through
view transform and decoder. Told in the pictures themselves, it sees lines early (as MapTRv2's auxiliary losses, arXiv
2308.05736, section 3.5). The student's weights and its speed know nothing of it.

B batch, N cameras, C channels, K classes, h w features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mapkd_core import over_ranks

LINE_WEIGHT = 4.0  # the cells of lines are few


class CameraHint(nn.Module):
    """Says from the camera features where lines are in the pictures. Training only: no part of the student."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.out = nn.Conv2d(width, classes, 1)
        nn.init.constant_(self.out.bias, -3.0)

    def forward(self, camera: Tensor, lines: Tensor) -> Tensor:
        """Loss of B N C h w features against B N K h w lines: 1 - soft Dice per class, plus weighted cross entropy."""
        logits, truth = self.out(camera.flatten(0, 1)).float(), lines.flatten(0, 1).to(torch.float32)
        entropy = functional.binary_cross_entropy_with_logits(logits, truth, pos_weight=logits.new_tensor(LINE_WEIGHT))
        probability = logits.sigmoid()
        overlap, total = (probability * truth).sum((0, 2, 3)), (probability + truth).sum((0, 2, 3))
        overlap, total = over_ranks.total(torch.stack([overlap, total]))
        dice = (2 * overlap + 1) / (total + 1)
        return entropy + (1 - dice).mean()
