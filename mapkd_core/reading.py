# SPDX-License-Identifier: Apache-2.0
"""JSON and YAML that others wrote: plain values, or a ValueError that names the place. Nothing in them is ever run."""

from __future__ import annotations

import json
from typing import Any

import yaml


class _Plain(yaml.SafeLoader):
    """Without aliases: ten lines of them make a billion values, and no file of mapkd needs one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(None, None, f"alias *{event.anchor} is not read", event.start_mark)
        return super().compose_node(parent, index)


def parse_yaml(text: str, where: str) -> Any:
    """Plain values; aliases and Python objects are refused. Raises ValueError for what is no YAML."""
    try:
        return yaml.load(text, _Plain)
    # Explicit tags on what they do not fit (!!int '') raise whatever PyYAML's constructors happen to meet.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise ValueError(f"{where} is not valid YAML: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{where} is not valid YAML: nested too deep") from error


def parse_json(text: str | bytes, where: str, **options: Any) -> Any:
    """Plain values; options as json.loads. Raises ValueError for what is no JSON, or nested too deep."""
    try:
        return json.loads(text, **options)
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, numbers of more digits than Python converts
        raise ValueError(f"{where} is not valid JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{where} is not valid JSON: nested too deep") from error
