# SPDX-License-Identifier: MIT
"""The tables of a board file, with single keys given another value: a machine's variants need no copies.

>>> tables("core.secure = 0", "my.toml", ["core.secure=1", "core.doorbell=poll"])
{'core': {'secure': 1, 'doorbell': 'poll'}}
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

from isthmus.errors import ConfigError

__all__ = ["tables"]

_CHANGE = re.compile(r"([a-z0-9_]+(?:\.[a-z0-9_]+)*)=(.*)", re.DOTALL)


def tables(text: str, name: str, changes: Sequence[str] = ()) -> dict[str, Any]:
    """Decodes TOML and applies each change, `key.path=value`: the value as TOML writes it, or a bare word.

    Tables are merged key by key, everything else is replaced. Raises ConfigError, one line.
    """
    try:
        found = tomllib.loads(text)
    except ValueError as error:  # also of a number with too many digits
        raise ConfigError(f"{name}: not TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{name}: not a board: tables or arrays lie too deep in each other") from None
    for change in changes:
        split = _CHANGE.fullmatch(change)
        if split is None:
            raise ConfigError(f"{change!r} is not a change of a board: key.path=value")
        _merge(found, _value(*split.groups()), change)
    return found


def _value(key: str, value: str) -> dict[str, Any]:
    try:
        return tomllib.loads(f"{key} = {value}")
    except (ValueError, RecursionError):
        changed: Any = value
        for part in reversed(key.split(".")):
            changed = {part: changed}
        return dict(changed)


def _merge(into: dict[str, Any], more: dict[str, Any], change: str) -> None:
    for key, value in more.items():
        if isinstance(into.get(key), dict):
            if not isinstance(value, dict):
                raise ConfigError(f"{change!r}: {key} is a table; name one of its keys")
            _merge(into[key], value, change)
        else:
            into[key] = value
