# SPDX-License-Identifier: Apache-2.0
"""Write the reference pages that follow from the code: `python -m tirta.reference`.

    docs/acts.md            from the table of an act's states
    docs/quantities.md      from the catalogue
    docs/settings.md        from `tirta.settings`
    docs/cli.md             from the command line
    docs/openapi.json       from the routes: what changed in the API stands in the change of this file

Invariant: a page is a function of the code alone, so that a test can tell whether it is up to date.
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from api.app import make_routes
from api.openapi import describe
from gateway.quantities import Catalogue, load_catalogue
from tirta.cli import app
from tirta.reference_acts import acts_page
from tirta.settings import Settings

__all__ = ["pages", "write_pages"]

_MADE: Final = "<!-- Made by `python -m tirta.reference`; change the code it comes from. -->"
_DEFAULTS_IN_WORDS: Final = {"data": "`~/.local/share/tirta`"}  # they depend on who runs it

_ABOUT_QUANTITIES: Final = """\
A quantity has one name, one unit and one range, on the wire, in the stores, in the API and in the rules. The range is
what a sound sensor can show, both ends allowed; a value outside it goes to quarantine as `out-of-range`. A total counts
since installation: over a window its difference means something, its mean does not."""

_OWN_KINDS: Final = """
## Quantities and kinds of your own

Name a TOML file in the setting `catalogue`. It adds to what is built in and cannot change it; there are no actions but
those above.

    [quantities.leaf_wetness]
    unit = "%"
    type = "number"        # or "boolean", which needs no min and max
    min = 0.0
    max = 100.0
    en = "leaf wetness"
    id = "kebasahan daun"

    [kinds.leaf-station]
    quantities = ["leaf_wetness", "air_temperature"]
    actions = []
    silent_s = 1800        # without a word for so long, a device is told as an alarm; 900 unless said"""

_ABOUT_SETTINGS: Final = """\
Read once, at the start. The command line wins over the environment, the environment over the file named by `--config`.
In the file, a setting of `broker`, `influx`, `oidc`, `retention` or `tls` stands in a table of that name. A value that cannot
be taken, and a name in the file that is not known, stop the start with a message that names them; a variable that is not
known is passed over."""

_SETTINGS_WRITTEN: Final = """
In the environment a list is written as JSON:

    TIRTA_STORES='["duckdb", "influxdb"]'

The same in a file, with an outside broker:

    stores = ["duckdb", "influxdb"]

    [broker]
    url = "mqtts://broker.example:8883"

Secrets belong into the environment or into a file that only Tirta's user can read; they are never logged."""

_ABOUT_COMMANDS: Final = """\
`tirta COMMAND --help` says the same. A command ends with 0, with 1 and one line on stderr when something is wrong, and
with 2 when it was called wrongly. What is set where stands in [settings.md](settings.md)."""


def pages() -> Mapping[str, str]:
    """Return the text of each page by its file name."""
    return {
        "acts.md": "\n".join(acts_page(_MADE)) + "\n",
        "quantities.md": "\n".join(_quantities(load_catalogue())) + "\n",
        "settings.md": "\n".join(_settings()) + "\n",
        "cli.md": "\n".join(_commands()) + "\n",
        "openapi.json": json.dumps(describe(make_routes(""), ""), indent=1, sort_keys=True, ensure_ascii=False) + "\n",
    }


def write_pages(folder: Path) -> None:
    """Write every page into `folder`."""
    for name, text in pages().items():
        (folder / name).write_text(text, "utf-8")


def _quantities(catalogue: Catalogue) -> Iterator[str]:
    yield from ("# Quantities and kinds of device", "", _MADE, "")
    yield _ABOUT_QUANTITIES
    yield from ("", "| quantity | unit | range | type | English | Indonesian | measured by |", "|---|---|---|---|---|---|---|")
    for quantity in sorted(catalogue.quantities.values(), key=lambda known: known.name):
        sort = "boolean" if quantity.boolean else "total" if quantity.total else "number"
        limits = "false, true" if quantity.boolean else f"{quantity.low:g} to {quantity.high:g}"
        kinds = ", ".join(f"`{kind.name}`" for kind in catalogue.kinds.values() if quantity in kind.quantities)
        names = f"{quantity.names['en']} | {quantity.names['id']}"
        yield f"| `{quantity.name}` | {quantity.unit} | {limits} | {sort} | {names} | {kinds} |"
    yield from ("", "## Kinds", "", "| kind | actions | an alarm after no word for |", "|---|---|---|")
    for kind in catalogue.kinds.values():
        yield f"| `{kind.name}` | {', '.join((*kind.actions, 'ping'))} | {kind.silent_s / 60:g} min |"
    yield _OWN_KINDS


def _settings() -> Iterator[str]:
    yield from ("# Settings", "", _MADE, "")
    yield _ABOUT_SETTINGS
    yield from ("", "| environment | file | type | default | meaning |", "|---|---|---|---|---|")
    for path, field in _fields(Settings):
        variable = "TIRTA_" + "_".join(path).upper()
        row = (f"`{variable}`", f"`{'.'.join(path)}`", _type(field), _default(path, field), field.description or "")
        yield f"| {' | '.join(row)} |"
    yield _SETTINGS_WRITTEN


def _fields(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _fields(inner, (*path, name))
        else:
            yield (*path, name), field


def _type(field: FieldInfo) -> str:
    bounds = [f"at least {low}" for item in field.metadata if (low := getattr(item, "ge", None)) is not None]
    bounds += [f"at most {high}" for item in field.metadata if (high := getattr(item, "le", None)) is not None]
    return ", ".join([_type_words(field.annotation), *bounds])


def _type_words(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(_type_words(part) for part in arguments if part is not types.NoneType)
    if origin is Annotated:
        return _type_words(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin is tuple:
        return f"list of {_type_words(arguments[0])}"
    words = {bool: "true or false", int: "whole number", str: "text", Path: "path", SecretStr: "secret"}
    return words[annotation]


def _default(path: tuple[str, ...], field: FieldInfo) -> str:
    if words := _DEFAULTS_IN_WORDS.get(".".join(path)):
        return words
    value = field.default
    if value is None or value is PydanticUndefined or value == ():
        return "unset"
    if isinstance(value, SecretStr):
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _commands() -> Iterator[str]:
    yield from ("# Command line", "", _MADE, "")
    yield _ABOUT_COMMANDS
    for name, command in _walk(typer.main.get_command(app), "tirta"):
        yield from _command(name, command)


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    inner: Mapping[str, Any] = getattr(command, "commands", {})
    if not inner or command.invoke_without_command:
        yield name, command
    for part, below in inner.items():
        yield from _walk(below, f"{name} {part}")


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [part for part in command.params if part.param_type_name == "argument"]
    options = [part for part in command.params if part.param_type_name == "option"]
    words = [name, *(part.metavar or part.name.upper() for part in arguments)]
    words += [f"{part.opts[0]} {_value(part)}" for part in options if part.required]
    yield from ("", f"## `{name}`", "", f"    {' '.join(words)}", "", " ".join(command.help.split()))
    if arguments or options:
        yield from ("", "| argument or option | default | meaning |", "|---|---|---|")
    for part in arguments:
        yield f"| `{part.metavar or part.name.upper()}` | required | {part.help or ''} |"
    for part in options:
        meaning, default = part.help or "", _option_default(part)
        if "[default: " in meaning:
            meaning, _, stated = meaning.partition(" [default: ")
            default = stated.removesuffix("]")
        shown = f"{part.opts[0]} {_value(part)}".strip()
        yield f"| `{shown}` | {default} | {meaning} |"


def _value(option: Any) -> str:
    if option.is_flag:
        return ""
    return str(option.metavar or option.name.upper())


def _option_default(option: Any) -> str:
    if option.required:
        return "required"
    if option.is_flag or option.default is None:
        return ""
    return f"`{option.default}`"


if __name__ == "__main__":
    write_pages(Path(__file__).parent.parent / "docs")
