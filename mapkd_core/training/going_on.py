# SPDX-License-Identifier: Apache-2.0
"""Whether a run goes on as what it was: other settings than those of its checkpoint would make another run of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mapkd_core import distillation
from mapkd_core.config import TrainConfig, from_dict, to_dict

ROUNDING = ("workers", "checkpoint_every", "precision")  # of what is learned they change rounding alone
# How long it takes, what is told on the way, and where the teachers are, of which the hashes are compared.
FREE = (*ROUNDING, "steps", "minutes", "validate_every", "answers", "answers_gb", "teacher", "coach")
_BY_THEMSELVES = ("model", "scheme", "scheme_settings")  # they are compared with messages of their own
_BEGUN_WITH = ("initial", "camera", "refinement")
_PATHS = (*_BEGUN_WITH, "data", "validation", "teacher", "coach")


def check(path: Path, state: Mapping[str, Any], config: TrainConfig, teachers: Mapping[str, str]) -> None:
    """Raises ValueError where the checkpoint at `path` is of another network, teaching or teacher, or other settings.

    teachers: name -> sha256 of its weights.
    """
    found = from_dict(TrainConfig, state["config"])
    if found.model != config.model:
        raise ValueError(
            f"{path} was trained with another network: {state['config']['model']}; start afresh or use its settings"
        )
    if (theirs := _scheme_told(found)) != (ours := _scheme_told(config)):
        raise ValueError(f"{path} was trained with {theirs}, this run has {ours}; start afresh or use its settings")
    for name, sha256 in state.get("teachers", {}).items():
        if teachers.get(name) != sha256:
            raise ValueError(
                f"{path} learned from another {name}, of sha256 {sha256}, this one has {teachers.get(name)}; "
                "start afresh, or give it that one"
            )
    check_settings(path, state, config)


def check_settings(path: Path, state: Mapping[str, Any], config: TrainConfig) -> None:
    """Raises ValueError, naming old and new value, for settings that a run cannot change on its way.

    Of files it began with the last three parts of the path count: a folder of runs may have been moved, and what they
    held is in the checkpoint.
    """
    apart = changed(state["config"], config, (*FREE, *_BY_THEMSELVES))
    told = [
        f"{name} = {old!r}, now {new!r}"
        for name, (old, new) in apart.items()
        if name not in _BEGUN_WITH or Path(old).parts[-3:] != Path(new).parts[-3:]
    ]
    if told:
        raise ValueError(
            f"{path} was trained with {'; '.join(told)} is asked for: go on with the same settings (free are "
            f"{', '.join(FREE)}), or choose another --out"
        )


def changed(found: Mapping[str, Any], config: TrainConfig, free: Collection[str]) -> dict[str, tuple[Any, Any]]:
    """Setting -> (what it was, what it is) of those that are not free; {} where nothing was found.

    Settings inside of others have dots in their names. One that came later had its default; of paths it counts where
    they lead.
    """
    if not found:
        return {}
    old, new = (_flat(to_dict(each)) for each in (from_dict(TrainConfig, dict(found)), config))
    return {
        name: (old.get(name), new.get(name))
        for name in old | new
        if name.partition(".")[0] not in free and _meant(name, old.get(name)) != _meant(name, new.get(name))
    }


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return flat


def _meant(name: str, value: Any) -> Any:
    return Path(value).resolve() if name in _PATHS and value else value


def _scheme_told(config: TrainConfig) -> str:
    """Scheme and all of its settings, the defaults too: a run is the same whether or not they were written out."""
    if not config.scheme:
        return "no scheme"
    settings = from_dict(distillation.load(config.scheme).Config, dict(config.scheme_settings))
    return f"scheme {config.scheme} ({settings})"
