# SPDX-License-Identifier: Apache-2.0
"""From a table of a scenario file to a dataclass: each key known, each value of its type and within its range.

Invariant: an error names the place in the file, and what would be right there.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from typing import Any, Final

from gateway.topics import is_name
from simulators.errors import InvalidScenario

__all__ = ["KINDS", "check_names", "fill_in", "read_table", "read_tables", "split_table"]

Form = typing.TypeVar("Form")

KINDS: Final = ("irrigation-controller", "pond-feeder")
_WORDS: Final = {float: "number", int: "whole number", str: "text", bool: "true or false"}
_CHOICES: Final = {"kind": KINDS, "mqtt": ("3.1.1", "5"), "encoding": ("json", "cbor")}
_ANY_SIGN: Final = frozenset({"latitude", "longitude", "air_mean"})
_SHARES: Final = frozenset(
    {"saturation", "field_capacity", "wilting_point", "soil_moisture", "cloudiness", "rain_chance"}
)  # from 0 to 1


def split_table(table: dict[str, Any], form: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part the keys that belong to `form` from the rest."""
    names = {field.name for field in dataclasses.fields(form)}
    own = {key: value for key, value in table.items() if key in names}
    return own, {key: value for key, value in table.items() if key not in names}


def read_tables(table: dict[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    value = table.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        raise InvalidScenario(f"{where}.{key}: at least one is wanted, as [[...{key}]]")
    return value


def read_table(table: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise InvalidScenario(f"{where}.{key}: a table is wanted")
    return value


def check_names(names: list[str], where: str, what: str) -> None:
    for name in names:
        if not is_name(name):
            raise InvalidScenario(f"{where}: the {what} name {name!r} is not 1 to 64 of a-z 0-9 - _")
        if names.count(name) > 1:
            raise InvalidScenario(f"{where}: there is more than one {what} {name!r}")


def fill_in(form: type[Form], table: dict[str, Any], where: str, **parsed: Any) -> Form:
    """Make a dataclass of a table, with the parts that are parsed already."""
    fields = {field.name: field for field in dataclasses.fields(form) if field.name not in parsed}  # type: ignore[arg-type]
    for key in table:
        if key not in fields and key not in parsed:
            near = difflib.get_close_matches(key, [*fields, *parsed], n=1)
            hint = f": did you mean {near[0]}?" if near else f"; known are {', '.join(sorted([*fields, *parsed]))}"
            raise InvalidScenario(f"{where}.{key}: unknown key{hint}")
    hints = typing.get_type_hints(form)
    values = {}
    for name, field in fields.items():
        if name in table:
            values[name] = _value(name, table[name], hints[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING:
            raise InvalidScenario(f"{where}.{name}: is missing")
    return form(**values, **parsed)


def _value(name: str, value: Any, form: Any, where: str) -> Any:
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise InvalidScenario(f"{where}: {value!r} is not one of {', '.join(_CHOICES[name])}")
        return value
    wanted = {float: (int, float), int: (int,), str: (str,), bool: (bool,)}[form]
    if not isinstance(value, wanted) or (isinstance(value, bool) and form is not bool):
        raise InvalidScenario(f"{where}: {value!r} is not a {_WORDS[form]}")
    if isinstance(value, (int, float)) and form is not bool:
        high = 1.0 if name in _SHARES else 1e9
        low = -1e9 if name in _ANY_SIGN else 0.0
        if not (math.isfinite(value) and low <= value <= high):
            raise InvalidScenario(f"{where}: {value} is not within {low:g} to {high:g}")
    return form(value)
