# SPDX-License-Identifier: Apache-2.0
"""JSON and YAML that others wrote: plain values, or a ValueError that names the place. Nothing in them is ever run."""

from __future__ import annotations

import json
from typing import Any

import yaml

MAX_VALUES = 1_000_000  # in a YAML file, aliases written out: ten lines of them can make a billion


def parse_yaml(text: str, where: str) -> Any:
    """Plain values; Python objects are refused, and more than MAX_VALUES. Raises ValueError for what is no YAML."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {})
        return loader.construct_document(node)
    # Explicit tags on what they do not fit (!!int '') raise whatever PyYAML's constructors happen to meet.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise ValueError(f"{where} is not valid YAML: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{where} is not valid YAML: nested too deep") from error


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """Values in a node, aliases written out. known: of nodes that were counted; 0 while one is being counted."""
    if id(node) in known:
        if not known[id(node)]:
            raise ValueError("an alias lies inside what it stands for")
        return known[id(node)]
    known[id(node)], count = 0, 1
    if isinstance(node, yaml.CollectionNode):
        for entry in node.value:
            count += sum(_count(part, known) for part in (entry if isinstance(entry, tuple) else (entry,)))
    if count > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values when aliases are written out")
    known[id(node)] = count
    return count


def parse_json(text: str | bytes, where: str, **options: Any) -> Any:
    """Plain values; options as json.loads. Raises ValueError for what is no JSON, or nested too deep."""
    try:
        return json.loads(text, **options)
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, numbers of more digits than Python converts
        raise ValueError(f"{where} is not valid JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{where} is not valid JSON: nested too deep") from error
