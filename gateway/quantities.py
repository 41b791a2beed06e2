# SPDX-License-Identifier: Apache-2.0
"""The catalogue of quantities and of kinds of device, read from TOML.

Invariant: a quantity has one name, one unit and one physical range, everywhere; a kind is data, not code.
"""

from __future__ import annotations

import difflib
import keyword
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal

from gateway.errors import InvalidCatalogue

__all__ = ["ACTIONS", "RESERVED_NAMES", "Catalogue", "Kind", "Quantity", "load_catalogue"]

RESERVED_NAMES: Final = frozenset(  # a record's own fields, and the columns and tags of the series stores
    {"boot", "clock", "device", "flags", "place", "seq", "site", "time", "ts", "ts_ms", "zone"}
)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
SILENT_S: Final = 900.0  # without a word, where a kind says nothing of its own; devices speak once a minute [s]
ACTIONS: Final = ("irrigate", "feed", "aerate", "stop")  # besides `ping`, which every kind answers


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something a device measures.

    Attributes
    ----------
    unit : str
        The one unit it is sent, stored and shown in.
    low, high : float
        Physical range, both ends allowed; booleans have 0 and 1.
    total : bool
        A running total: over a window its difference counts, not its mean.
    names : mapping
        What people call it, by language ("en", "id").
    """

    name: str
    unit: str
    boolean: bool
    low: float
    high: float
    total: bool
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of device: what it may measure and what it can be told to do.

    Attributes
    ----------
    silent_s : float
        So long may it give no word before that is told as an alarm. [s]
    """

    name: str
    quantities: tuple[Quantity, ...]
    actions: tuple[str, ...]
    silent_s: float = SILENT_S

    def quantity(self, name: str) -> Quantity | None:
        """Return the quantity of that name if this kind measures it."""
        return next((quantity for quantity in self.quantities if quantity.name == name), None)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All quantities and kinds known to this installation."""

    quantities: Mapping[str, Quantity]
    kinds: Mapping[str, Kind]

    def suggest(self, name: str, kind: Kind | None = None) -> str | None:
        """Return the known quantity nearest to a misspelt `name`, or None."""
        known: Iterable[str] = (q.name for q in kind.quantities) if kind else self.quantities
        near = difflib.get_close_matches(name[:64], list(known), n=1, cutoff=0.6)
        return near[0] if near else None


def load_catalogue(extra: Path | None = None) -> Catalogue:
    """Read the built-in catalogue and, after it, a partner's own file.

    Parameters
    ----------
    extra : Path or None
        A TOML file with the tables `quantities` and `kinds`, shaped as the built-in files; it may add and must not change
        what is built in, or one installation's numbers would mean something else than another's.

    Raises
    ------
    InvalidCatalogue
        A table lacks a key, repeats a built-in name, or a kind names an unknown quantity or action.
    """
    here = files("gateway")
    quantities = tomllib.loads(here.joinpath("quantities.toml").read_text("utf-8"))
    kinds = tomllib.loads(here.joinpath("kinds.toml").read_text("utf-8"))
    if extra is not None:
        try:
            added = tomllib.loads(extra.read_text("utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as exc:
            raise InvalidCatalogue(f"{extra}: {exc}") from exc
        for built_in, table in ((quantities, "quantities"), (kinds, "kinds")):
            own = added.get(table, {})
            if repeated := sorted(built_in.keys() & own.keys()):
                raise InvalidCatalogue(f"{extra}: [{table}.{repeated[0]}] is built in; choose another name")
            built_in.update(own)
    known = {name: _quantity(name, table) for name, table in quantities.items()}
    return Catalogue(known, {name: _kind(name, table, known) for name, table in kinds.items()})


def _quantity(name: str, table: Mapping[str, Any]) -> Quantity:
    try:
        kind: Literal["number", "boolean"] = table["type"]
        boolean = kind == "boolean"
        if kind not in ("number", "boolean"):
            raise InvalidCatalogue(f"quantity {name}: type is {kind!r}, not number or boolean")
        low, high = (0.0, 1.0) if boolean else (float(table["min"]), float(table["max"]))
        names = {language: str(table.get(language, name)) for language in ("en", "id")}
        quantity = Quantity(name, str(table["unit"]), boolean, low, high, bool(table.get("total", False)), names)
    except KeyError as exc:
        raise InvalidCatalogue(f"quantity {name}: {exc.args[0]} is missing") from exc
    if not _NAME.fullmatch(name):
        raise InvalidCatalogue(f"quantity {name}: a name is a letter, then letters, digits and underscores, all lower-case")
    if name in RESERVED_NAMES or keyword.iskeyword(name):
        raise InvalidCatalogue(f"quantity {name}: this name has a meaning of its own; choose another")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InvalidCatalogue(f"quantity {name}: min {low} and max {high} are not finite, the first below the second")
    return quantity


def _kind(name: str, table: Mapping[str, Any], known: Mapping[str, Quantity]) -> Kind:
    wanted, actions = list(table.get("quantities", [])), tuple(table.get("actions", ()))
    if missing := [quantity for quantity in wanted if quantity not in known]:
        raise InvalidCatalogue(f"kind {name}: there is no quantity {missing[0]!r}")
    if unknown := [action for action in actions if action not in ACTIONS]:
        raise InvalidCatalogue(f"kind {name}: there is no action {unknown[0]!r}; actions are {', '.join(ACTIONS)}")
    if len(set(wanted)) != len(wanted) or not wanted:
        raise InvalidCatalogue(f"kind {name}: quantities must be named, each once")
    silent_s = table.get("silent_s", SILENT_S)
    if isinstance(silent_s, bool) or not isinstance(silent_s, int | float) or not 60 <= silent_s <= 30 * 86_400:
        raise InvalidCatalogue(f"kind {name}: silent_s is {silent_s!r}, not a number from 60 to 2592000 (30 days)")
    return Kind(name, tuple(known[quantity] for quantity in wanted), actions, float(silent_s))
