# SPDX-License-Identifier: Apache-2.0
"""Which settings each run of `mapkd bench distill` has: students differ in who teaches them, and in nothing else."""

from __future__ import annotations

import math
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mapkd_core import distillation
from mapkd_core.bench.distill_rows import LESSER, NETWORKS, rows
from mapkd_core.config import TrainConfig, load
from mapkd_core.data import roads_v1
from mapkd_core.data.roads_v1 import CONFIGS, SIZES
from mapkd_core.data.samples import SampleFolder
from mapkd_core.training import refine
from mapkd_core.training.stages import COACH_LEARNS
from mapkd_core.writing import aside


@dataclass(frozen=True)
class Bench:
    """What is compared. steps: of every student, 0 takes the size's own. variants: of every frame, 0 takes those of a
    row that trains for longer, of others the size's own, and one per epoch where that says 0 as well. changes:
    `key=value` for all runs, as of `mapkd train`. answers_gb: the most that new answers of one teacher may take; with 0
    none are stored, and teachers answer anew in every run. kept: folder of results and teachers that go from machine to
    machine (`distill_kept`).
    """

    size: str = "small"
    out: Path = Path("out/distill")
    steps: int = 0
    variants: int = 0
    answers_gb: float = 24.0
    changes: tuple[str, ...] = ()
    kept: Path | None = None

    @property
    def camera(self) -> Path:
        """Where all camera encoders start, if they do not from nothing."""
        return self.folder / "camera.safetensors"

    @property
    def folder(self) -> Path:
        return self.out / self.size

    def run_folder(self, row: str, seed: int) -> Path:
        return self.folder / row / str(seed)

    def weights(self, row: str) -> Path:
        """Of a network that teaches."""
        return self.run_folder(row, 0) / "student.safetensors"


def config(bench: Bench, name: str, seed: int) -> TrainConfig:
    """The settings of one run. Raises ValueError for an unknown size."""
    if bench.size not in SIZES:
        raise ValueError(f"size {bench.size!r} of roads-v1 is unknown; known: {', '.join(SIZES)}")
    base = _load(bench, SIZES[bench.size].config)
    if name in NETWORKS or name in LESSER:
        return _started(bench, network(bench, name, base))
    row = rows()[name]
    steps = round(row.times * (bench.steps or base.steps))
    model = distillation.student_of(row.scheme, base.model) if row.scheme else base.model
    begun = replace(base, camera="") if row.cold else _started(bench, base)
    alone = replace(
        begun, model=replace(model, view=row.view or model.view), seed=seed, steps=steps,
        variants=bench.variants or row.variants or base.variants or _epochs(base, steps), modality_dropout=0.0,
    )  # fmt: skip
    if not row.scheme:
        return alone
    # All of them, not only those that differ: a run of other defaults is then seen to be another.
    settings = asdict(distillation.load(row.scheme).Config(**row.settings))
    return replace(
        alone, scheme=row.scheme, scheme_settings=settings, teacher=str(bench.weights("teacher")),
        coach=str(bench.weights("coach")) if row.coach else "",
        answers=str(bench.folder / "answers") if bench.answers_gb else "",
        answers_gb=bench.answers_gb,
    )  # fmt: skip


def keep_camera(bench: Bench) -> None:
    """A copy of the weights that camera encoders start from: the shipped ones may change between two sittings."""
    given = _load(bench, SIZES[bench.size].config).camera if bench.size in SIZES else ""
    if given and not bench.camera.is_file():
        with aside(bench.camera) as unfinished:
            shutil.copyfile(given, unfinished)


def check_set(bench: Bench) -> None:
    """All files of the set are there and as they were made; what roads-v1 refuses is refused."""
    roads_v1.check(Path(_load(bench, SIZES[bench.size].config).data).parent)


def network(bench: Bench, name: str, base: TrainConfig) -> TrainConfig:
    """Teacher or coach, by the size's own file; the coach learns from the teacher as in MapKD."""
    found = _load(bench, SIZES[bench.size].config.replace(".yaml", f"_{name}.yaml"))
    if name == "refinement":
        return replace(found, data=base.data, validation=base.validation)
    if name == "coach":
        settings = found.scheme_settings if found.scheme else COACH_LEARNS
        found = replace(found, scheme=found.scheme or "mapkd", scheme_settings=settings)
        found = replace(found, teacher=str(bench.weights("teacher")))
    if found.model.refinement_layers:
        found = replace(found, refinement=str(bench.run_folder("refinement", 0) / refine.FILE))
    return replace(found, data=base.data, validation=base.validation)


def _load(bench: Bench, file: str) -> TrainConfig:
    if not (CONFIGS / file).is_file():
        raise FileNotFoundError(f"{CONFIGS / file} is missing: size {bench.size} of roads-v1 has no such network")
    found = load(TrainConfig, CONFIGS / file, bench.changes)
    every = max(1, min(found.checkpoint_every, 200))
    return replace(found, minutes=0.0, checkpoint_every=every, validate_every=10**9)


def _started(bench: Bench, found: TrainConfig) -> TrainConfig:
    return replace(found, camera=str(bench.camera)) if found.camera else found


def _epochs(config: TrainConfig, steps: int) -> int:
    """So many variants that no run sees one twice."""
    return math.ceil(steps / max(1, len(SampleFolder(config.data)) // config.batch))
