# SPDX-License-Identifier: Apache-2.0
"""RoboMap's resilience score (Hao et al., arXiv 2507.01484): what share of the clean accuracy a corruption leaves.

RS of a corruption is the mean over its severities of accuracy / clean accuracy, mRS the mean of RS over corruptions.
RoboMap's accuracy is mAP on nuScenes; here it is mIoU on the frames of the run: its figures do not compare with ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def resilience(accuracies: Sequence[float], clean: float) -> float:
    """RS, 1 = nothing lost. Raises ValueError where there is no accuracy or nothing that could be lost."""
    if not accuracies or clean <= 0:
        raise ValueError(f"resilience of {list(accuracies)} against {clean}: needs accuracies, and a clean one above 0")
    return sum(accuracies) / len(accuracies) / clean


def mean_resilience(scores: Mapping[str, float]) -> float:
    """mRS over corruptions. Raises ValueError for none."""
    if not scores:
        raise ValueError("mean resilience of no corruption; score one at least")
    return sum(scores.values()) / len(scores)
