# SPDX-License-Identifier: Apache-2.0
"""ROS parameters from one dataclass per node: declared with descriptions and ranges, validated, typos reported.

    @dataclass(frozen=True)
    class SyncParameters:
        wait_s: float = parameter(0.1, "longest wait for the other cameras [s]", low=0.0, high=5.0)

Nested dataclasses become groups: `sync: SyncParameters = field(default_factory=SyncParameters)` gives `sync.wait_s`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_type_hints

# Declared by rclpy itself or by middleware settings, never by a node.
_FOREIGN = ("use_sim_time", "start_type_description_service", "qos_overrides.")

T = TypeVar("T")


@dataclass(frozen=True)
class Specification:
    """One parameter: type is bool, int, float or str; is_array for a tuple of it; low and high are inclusive.

    live: may be set while the node runs; the others are read once.
    """

    name: str
    type: type
    is_array: bool
    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False


def parameter(
    default: Any,
    description: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
) -> Any:
    """Dataclass field that is a ROS parameter."""
    limits = {"low": low, "high": high, "choices": choices}
    return field(default=default, metadata={"description": description, "live": live, **limits})


def specifications(kind: type, prefix: str = "") -> Iterator[Specification]:
    """All parameters of a dataclass, groups included, in order."""
    hints = get_type_hints(kind)
    for item in fields(kind):
        if is_dataclass(hints[item.name]):
            yield from specifications(hints[item.name], f"{prefix}{item.name}.")
            continue
        arguments = get_args(hints[item.name])
        yield Specification(
            name=prefix + item.name,
            type=arguments[0] if arguments else hints[item.name],
            is_array=bool(arguments),
            default=item.default,
            **item.metadata,
        )


def validated(kind: type[T], values: Mapping[str, Any]) -> T:
    """Instance of the dataclass from flat names; absent ones keep their default. ValueError names the parameter."""
    checked = {spec.name: check(spec, values.get(spec.name, spec.default)) for spec in specifications(kind)}
    return _build(kind, checked, "")


def check(spec: Specification, value: Any) -> Any:
    """The value in the specified type (an int passes for a float); ValueError says what is allowed."""
    if spec.is_array:
        if isinstance(value, str | bytes) or not hasattr(value, "__len__"):
            raise ValueError(f"parameter {spec.name}: {value!r} is not a list of {spec.type.__name__}")
        return tuple(_check_one(spec, item) for item in value)
    return _check_one(spec, value)


def unknown_names(kind: type, names: list[str]) -> dict[str, str]:
    """Names that nobody declares -> the nearest declared one, or an empty string."""
    known = [spec.name for spec in specifications(kind)]
    strangers = [name for name in names if name not in known and not name.startswith(_FOREIGN)]
    return {name: next(iter(difflib.get_close_matches(name, known, 1)), "") for name in strangers}


def fixed_names(kind: type, names: list[str]) -> list[str]:
    """Those of the names that are declared and may not be set while the node runs."""
    return [spec.name for spec in specifications(kind) if spec.name in names and not spec.live]


def declare(node: Any, kind: type[T], is_managed: bool = False) -> T:
    """Declare the dataclass on a node made with automatically_declare_parameters_from_overrides=True; read it back.

    is_managed: a callback of the node says when one that is not live may be set; otherwise ROS refuses that always.
    ValueError for a value of the wrong type or out of range; a warning for each override that means nothing.
    """
    overrides = {name: item.value for name, item in node.get_parameters_by_prefix("").items()}
    result = validated(kind, overrides)
    for name, nearest in unknown_names(kind, list(overrides)).items():
        hint = f"; did you mean {nearest}?" if nearest else ""
        node.get_logger().warning(f"unknown parameter {name} = {overrides[name]!r} has no effect{hint}")
    for spec in specifications(kind):
        if node.has_parameter(spec.name):
            node.undeclare_parameter(spec.name)
        value = check(spec, overrides.get(spec.name, spec.default))
        # rclpy infers the type of an empty list as bytes; a list of one empty string is never a valid value here.
        node.declare_parameter(
            spec.name, list(value) if spec.is_array else value, _descriptor(spec, is_managed), ignore_override=True
        )
    return result


def _check_one(spec: Specification, value: Any) -> Any:
    if spec.type is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, spec.type) or (spec.type is int and isinstance(value, bool)):
        raise ValueError(f"parameter {spec.name}: {value!r} is not of type {spec.type.__name__}")
    if spec.choices and value not in spec.choices:
        raise ValueError(f"parameter {spec.name}: {value!r} is not one of {', '.join(spec.choices)}")
    if (spec.low is not None and not value >= spec.low) or (spec.high is not None and not value <= spec.high):
        raise ValueError(f"parameter {spec.name}: {value!r} is outside {spec.low} .. {spec.high}")
    return value


def _build(kind: type[T], values: Mapping[str, Any], prefix: str) -> T:
    hints = get_type_hints(kind)
    arguments = {
        item.name: _build(hints[item.name], values, f"{prefix}{item.name}.")
        if is_dataclass(hints[item.name])
        else values[prefix + item.name]
        for item in fields(kind)  # type: ignore[arg-type]
    }
    return kind(**arguments)


def _descriptor(spec: Specification, is_managed: bool) -> Any:
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, ParameterType

    types = {bool: "BOOL", int: "INTEGER", float: "DOUBLE", str: "STRING"}
    name = f"PARAMETER_{types[spec.type]}{'_ARRAY' if spec.is_array else ''}"
    descriptor = ParameterDescriptor(
        name=spec.name,
        type=getattr(ParameterType, name),
        description=spec.description,
        read_only=not (spec.live or is_managed),
    )
    constraints = [f"one of {', '.join(spec.choices)}"] if spec.choices else []
    constraints += ["while the node is unconfigured"] if is_managed and not spec.live else []
    descriptor.additional_constraints = "; ".join(constraints)
    if spec.low is not None and spec.high is not None and not spec.is_array:
        kind, target = (
            (FloatingPointRange, "floating_point_range") if spec.type is float else (IntegerRange, "integer_range")
        )
        setattr(descriptor, target, [kind(from_value=spec.type(spec.low), to_value=spec.type(spec.high))])
    return descriptor
