# SPDX-License-Identifier: Apache-2.0
"""`tirta resources …`: pumps, mains and supplies that the beds of a site share, and what each can take.

The control database is asked and written, whether the service runs or not: it reads them each minute.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, cast

import typer

from control import resources, turns
from control.paging import every
from control.records import SharedResource
from control.resources import ResourceDetails
from tirta.cli_tokens import control_database
from tirta.errors import NotPossible
from tirta.local import local_trail
from tirta.options import CONFIG, DATA, WHY

__all__ = ["app"]

NO_LIMIT: Final = "none"

app = typer.Typer(no_args_is_help=True, help="Pumps, mains and supplies that beds share, and what each can take.")

RESOURCE = Annotated[str, typer.Argument(metavar="SITE:NAME", help="For example taman-kota:pompa-utara.")]
KIND = Annotated[str | None, typer.Option(help="pump, main or supply; of a new one pump unless told.")]
MAX_FLOW = Annotated[
    str | None, typer.Option(metavar="L_MIN", help="Most that it delivers at once, in litres a minute; none for no limit.")
]
MAX_ZONES = Annotated[str | None, typer.Option(metavar="NUMBER", help="Most zones at once; none for no limit.")]
MIN_REST = Annotated[int | None, typer.Option("--min-rest", metavar="SECONDS", help="Least rest between two runs.")]
ZONE = Annotated[
    list[str] | None, typer.Option("--zone", metavar="SITE:DEVICE:ZONE", help="A bed behind it; several may be given.")
]


@app.command("list")
def list_all(
    site: Annotated[str | None, typer.Option(metavar="SITE", help="Only of this site.")] = None,
    zone: Annotated[str | None, typer.Option(metavar="SITE:DEVICE:ZONE", help="Only those that this zone shares.")] = None,
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """List pumps, mains and supplies, with what each can take."""
    with control_database(config, data) as (database, _), database.reader() as session:
        found = list(
            every(lambda after: resources.list_resources(session, site=site, zone=zone, limit=1000, after=after)),
        )
    for one in found:
        print(_line(one))
    if not found:
        print("no pump, main or supply; nothing is shared")


@app.command()
def show(resource: RESOURCE, data: DATA = None, config: CONFIG = None) -> None:
    """Show one with its beds: where water may flow now, and where a run waits for its turn."""
    with control_database(config, data) as (database, now_ms), database.reader() as session:
        one = resources.get_resource(session, resource)
        serves = turns.served(session, [one.key], now_ms)[one.key]
        waiting = turns.waiting_zones(session, [one.key])[one.key]
    print(_line(one))
    for zone in one.zones:
        print(f"  {zone}{'  flows' if zone in serves else '  waits' if zone in waiting else ''}")


@app.command()
def add(
    resource: RESOURCE,
    title: Annotated[str | None, typer.Option(help="What people call it. [default: its name]")] = None,
    kind: KIND = None,
    max_flow: MAX_FLOW = None,
    max_zones: MAX_ZONES = None,
    min_rest: MIN_REST = None,
    zone: ZONE = None,
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Add a pump, a main or a supply of a site; it binds acts from the next minute on."""
    site, colon, name = resource.partition(":")
    if not colon:
        raise NotPossible(f"{resource!r} is not SITE:NAME")
    details = ResourceDetails(**_given(kind, max_flow, max_zones, min_rest, zone))
    with control_database(config, data) as (database, _), database.session() as session:
        made = resources.create_resource(session, site, name, title or name, details, trail=local_trail(why))
    print(_line(made))


@app.command()
def change(
    resource: RESOURCE,
    title: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    kind: KIND = None,
    max_flow: MAX_FLOW = None,
    max_zones: MAX_ZONES = None,
    min_rest: MIN_REST = None,
    zone: ZONE = None,
    no_zones: Annotated[bool, typer.Option("--no-zones", help="No bed is behind it any longer.")] = False,
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Change what is given; --zone replaces all its beds."""
    if zone and no_zones:
        raise NotPossible("say --zone or --no-zones, one of them")
    wanted = _given(kind, max_flow, max_zones, min_rest, [] if no_zones else zone)
    if not wanted and title is None:
        raise NotPossible("say what is to be changed; see tirta resources change --help")
    with control_database(config, data) as (database, _), database.session() as session:
        changed = resources.change_resource(session, resource, title=title, details=wanted, trail=local_trail(why))
    print(_line(changed))


@app.command()
def remove(resource: RESOURCE, why: WHY = "", data: DATA = None, config: CONFIG = None) -> None:
    """Remove one; its beds are bound by it no longer."""
    with control_database(config, data) as (database, _), database.session() as session:
        resources.delete_resource(session, resource, trail=local_trail(why))
    print(f"{resource} is removed")


def _given(
    kind: str | None, max_flow: str | None, max_zones: str | None, min_rest: int | None, zones: list[str] | None
) -> dict[str, Any]:
    """Return what was said, as the registry takes it; what was not said is left out."""
    said: dict[str, Any] = {} if kind is None else {"kind": cast("Literal['pump', 'main', 'supply']", kind)}
    if max_flow is not None:
        said["max_flow_l_min"] = None if max_flow == NO_LIMIT else _number("--max-flow", max_flow)
    if max_zones is not None:
        said["max_zones"] = None if max_zones == NO_LIMIT else _whole("--max-zones", max_zones)
    if min_rest is not None:
        said["min_rest_s"] = min_rest
    if zones is not None:
        said["zones"] = tuple(sorted(set(zones)))
    return said


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise NotPossible(f"{option} {text!r} is no number; a number, or {NO_LIMIT}") from exc


def _whole(option: str, text: str) -> int:
    if not text.isdecimal():
        raise NotPossible(f"{option} {text!r} is no whole number; a whole number, or {NO_LIMIT}")
    return int(text)


def _line(one: SharedResource) -> str:
    limits = [] if one.max_zones is None else [f"{one.max_zones} zones at once"]
    limits += [] if one.max_flow_l_min is None else [f"{one.max_flow_l_min:g} L/min"]
    limits += [f"rests {one.min_rest_s} s"] if one.min_rest_s else []
    return f"{one.key:<32} {one.kind:<6} {one.title}: {', '.join(limits) or 'no limit'}; {len(one.zones)} beds"
