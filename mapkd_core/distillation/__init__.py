# SPDX-License-Identifier: Apache-2.0
"""Distillation schemes, one file each, found by the file's name.

A scheme file holds its losses as functions, a frozen dataclass `Config` and a class `Distil(Scheme)`. To add one, add
the file: `available()` lists it, and the contract test runs over it.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Mapping
from dataclasses import fields
from types import ModuleType
from typing import Any

from mapkd_core.config import ModelConfig, from_dict
from mapkd_core.distillation.scheme import Scheme
from mapkd_core.models.map_model import MapModel

_NOT_SCHEMES = ("losses", "scheme")


def available() -> list[str]:
    """Names of the schemes."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if m.name not in _NOT_SCHEMES)


def load(name: str) -> ModuleType:
    """The scheme's module. Raises ValueError for an unknown name."""
    if name not in available():
        raise ValueError(f"unknown scheme {name!r}; known: {', '.join(available())}")
    return importlib.import_module(f"{__name__}.{name}")


def student_of(name: str, config: ModelConfig) -> ModelConfig:
    """The student that a scheme asks for: this one, or with other parts where its module says so (`student`)."""
    asked: ModelConfig = getattr(load(name), "student", lambda own: own)(config)
    return asked


def make(
    name: str, settings: Mapping[str, Any], student: ModelConfig, teacher: MapModel, coach: MapModel | None = None
) -> Scheme:
    """A scheme for this student. Raises ValueError for networks that do not fit, and what `settings_of` refuses."""
    scheme: Scheme = load(name).Distil(settings_of(name, settings), student, teacher, coach)
    return scheme


def settings_of(name: str, settings: Mapping[str, Any]) -> Any:
    """The scheme's Config. Raises ValueError for an unknown setting, and for a number that is none or too small: those
    of `Distil.positive` must be more than 0, no other may be less.
    """
    module = load(name)
    config = from_dict(module.Config, dict(settings), f"{name}.")
    for setting in fields(config):
        value = getattr(config, setting.name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        is_positive = setting.name in module.Distil.positive
        if not math.isfinite(value) or value < 0 or (is_positive and value == 0):
            least = "more than 0" if is_positive else "0 or more"
            raise ValueError(f"{name}.{setting.name} = {value!r}: expected a number of {least}")
    return config
