# SPDX-License-Identifier: Apache-2.0
"""Rows of the table of `mapkd bench distill`: who teaches the student, by which scheme, with which settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mapkd_core import distillation
from mapkd_core.training.checks import uses_coach

NETWORKS = ("teacher", "coach")  # rows of their own, trained once: students of all seeds learn from the same
# What each thing that the teacher knows is worth; trained where asked for by name, nobody learns from them.
LESSER = {"teacher_c": "teacher, C", "teacher_c_l": "teacher, C+L", "teacher_c_l_sd": "teacher, C+L+SD"}


@dataclass(frozen=True)
class Row:
    """One student. of: the row it is an ablation of, empty for others. coach: whether one helps. cold: its camera
    encoder, too, starts from nothing. times: how often the size's steps it takes. variants: of every frame; the size's
    if 0.
    """

    label: str
    scheme: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    coach: bool = False
    view: str = ""  # instead of the student's own
    of: str = ""
    cold: bool = False
    times: float = 1.0
    variants: int = 0

    @property
    def is_main(self) -> bool:
        """Whether every table needs it, with several seeds."""
        return not (self.of or self.cold)


MAIN: dict[str, Row] = {
    "student": Row("student alone"),
    "student_dual": Row("student alone, dual view", view="dual"),
    "feature": Row("feature MSE", "feature"),
    "response": Row("response KL", "response"),
    "channelwise": Row("channel-wise", "channelwise"),
    "attention": Row("attention transfer", "attention"),
    "foreground": Row("foreground features", "foreground"),
    "mapkd": Row("MapKD", "mapkd", coach=True),
    "mapdistill": Row("MapDistill (dual view)", "mapdistill"),
    "bridgeta": Row("BridgeTA (reconstructed)", "bridgeta"),
    "inherit": Row("inherit (ours)", "inherit"),
}
LONGER: dict[str, Any] = {"times": 7 / 3, "variants": 2}
# With an encoder that has seen nothing a student has far more to learn, as the papers' students, who start from
# photographs, have: whether a teacher saves it the way there. One epoch would teach none of them anything, and more of
# it all of them would take longer than the rest of the table: trained where asked for by name.
COLD: dict[str, Row] = {
    "cold_student": Row("from nothing, 2.3 times as long: student alone", cold=True, **LONGER),
    "cold_feature": Row("from nothing, 2.3 times as long: feature MSE", "feature", cold=True, **LONGER),
    "cold_mapkd": Row("from nothing, 2.3 times as long: MapKD without coach", "mapkd", cold=True, **LONGER),
    "cold_bridgeta": Row("from nothing, 2.3 times as long: BridgeTA (reconstructed)", "bridgeta", cold=True, **LONGER),
    "cold_inherit": Row("from nothing, 2.3 times as long: inherit (ours)", "inherit", cold=True, **LONGER),
}
FAINT = {"head": 1.0, "points": 1.0, "every_layer": False}  # the last layer's answers, a point no more than a score
_NO_LOSS = dict.fromkeys(("fused", "bev", "response", "head"), 0.0)
_NO_FEATURES, _RESPONSE = {"fused": 0.0, "bev": 0.0}, {"response": 2.0}
_EIGHTFOLD = {"tgpd_teacher": 4.0, "tgpd_coach": 0.08, "msrd_teacher": 6.0, "msrd_coach": 0.08}
_OFF_RELATION, _OFF_FEATURE, _OFF_HEAD = ({name: 0.0} for name in ("relation", "feature", "head"))
ABLATIONS: dict[str, Row] = {
    # What training for longer is worth: whether a teacher gives anything that patience does not.
    "student_long": Row("trained 2.3 times as long", **LONGER, of="student"),
    "mapkd_no_tgpd": Row("without TGPD", "mapkd", {"tgpd_teacher": 0.0, "tgpd_coach": 0.0}, True, of="mapkd"),
    "mapkd_no_msrd": Row("without MSRD", "mapkd", {"msrd_teacher": 0.0, "msrd_coach": 0.0}, True, of="mapkd"),
    "mapkd_no_coach": Row("without coach", "mapkd", of="mapkd"),
    "mapkd_no_token": Row("without token", "mapkd", {"token": False}, True, of="mapkd"),
    "mapkd_as_released": Row("as released", "mapkd", {"as_released": True}, True, of="mapkd"),
    "mapkd_heavy": Row("eight times as heavy", "mapkd", _EIGHTFOLD, True, of="mapkd"),
    "mapdistill_relation": Row("relation only", "mapdistill", _OFF_FEATURE | _OFF_HEAD, of="mapdistill"),
    "mapdistill_feature": Row("feature only", "mapdistill", _OFF_RELATION | _OFF_HEAD, of="mapdistill"),
    "mapdistill_head": Row("head only", "mapdistill", _OFF_RELATION | _OFF_FEATURE, of="mapdistill"),
    "mapdistill_faint": Row("points as faint as scores", "mapdistill", {"points": 1.0}, of="mapdistill"),
    "bridgeta_no_assistant": Row("without assistant", "bridgeta", {"assistant": False}, of="bridgeta"),
    "bridgeta_epsilon_half": Row("epsilon 0.5", "bridgeta", {"epsilon": 0.5}, of="bridgeta"),
    "bridgeta_epsilon_two": Row("epsilon 2", "bridgeta", {"epsilon": 2.0}, of="bridgeta"),
    "bridgeta_heavy": Row("eight times as heavy", "bridgeta", {"feature": 4.0, "response": 16.0}, of="bridgeta"),
    "bridgeta_no_pull": Row("assistant not drawn to the student", "bridgeta", {"pull": False}, of="bridgeta"),
    "inherit_weights": Row("weights alone, no loss", "inherit", _NO_LOSS, of="inherit"),
    "inherit_response": Row("class probabilities, too", "inherit", _RESPONSE, of="inherit"),
    "inherit_head": Row("polylines, no features", "inherit", _NO_FEATURES, of="inherit"),
    "inherit_answers": Row(
        "polylines and class probabilities, no features", "inherit", _NO_FEATURES | _RESPONSE, of="inherit"
    ),
    "inherit_nothing": Row("nothing handed over", "inherit", {"inherit": "nothing"}, of="inherit"),
    "inherit_faint": Row("answers faint", "inherit", FAINT, of="inherit"),
    "inherit_all": Row("camera handed over, too", "inherit", {"inherit": "all"}, of="inherit"),
    "inherit_features": Row("features four times as heavy", "inherit", {"fused": 4.0, "bev": 4.0}, of="inherit"),
}


def rows() -> dict[str, Row]:
    """All students by name, main ones first; schemes that have a file and no row here follow the main ones."""
    named = {row.scheme for row in MAIN.values()}
    more = {name: Row(name, name, coach=uses_coach(name)) for name in distillation.available() if name not in named}
    return MAIN | more | COLD | ABLATIONS


def order(names: Sequence[str], seeds: int, ablation_seeds: int) -> list[tuple[str, int]]:
    """(row, seed) in the order of training: networks that teach, then seed 0 of all rows, as named, then seed 1.

    names: all rows but the cold ones and the lesser teachers, if empty.
    Raises ValueError for an unknown row.
    """
    known = rows()
    if unknown := [name for name in names if name not in (*known, *NETWORKS, *LESSER)]:
        raise ValueError(f"row {unknown[0]!r} is unknown; known: {', '.join((*NETWORKS, *LESSER, *known))}")
    wanted = [name for name in dict.fromkeys(names or (n for n in known if not known[n].cold)) if name in known]
    taught = [known[name] for name in wanted if known[name].scheme]
    with_coach = not names or "coach" in names or any(row.coach for row in taught)  # which learns from the teacher
    needed = {"teacher": with_coach or bool(taught) or "teacher" in names, "coach": with_coach}
    runs = [(name, 0) for name in NETWORKS if needed[name]] + [(name, 0) for name in LESSER if name in names]
    for seed in range(max(seeds, ablation_seeds)):
        runs += [(n, seed) for n in wanted if seed < (seeds if known[n].is_main else ablation_seeds)]
    return runs
