# SPDX-License-Identifier: Apache-2.0
"""`tirta suspension …`: what people put off. Works on the control database, whether or not the service runs.

A running Tirta follows at its next tick, within a minute.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import typer

from control import suspending, suspensions
from control.errors import Invalid, NotFound
from control.records import Suspension
from control.suspensions import On, parse_on
from tirta.cli_tokens import control_database
from tirta.local import local_trail
from tirta.options import CONFIG, DATA, WHY

__all__ = ["app"]

SHOWN: Final = 1000  # that a list shows at most
HOUR_MS: Final = 3_600_000

app = typer.Typer(no_args_is_help=True, help="What people put off: pauses, rain delays, moments to be skipped.")

ON = Annotated[str, typer.Argument(metavar="ON", help="zone:SITE:DEVICE:NUMBER, site:NAME, agency:CITY:NAME or city:NAME.")]
UNTIL = Annotated[str | None, typer.Option("--until", metavar="TIME", help="When it is over, as 2026-11-23T14:00+08:00.")]
HOURS = Annotated[float | None, typer.Option("--hours", min=0.01, max=9600, help="After how many hours it is over.")]
NOTE = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for those who see it.")]


@app.command("list")
def list_all(
    every: Annotated[bool, typer.Option("--all", help="Also what is over.")] = False,
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """List what is put off, the latest first."""
    with control_database(config, data) as (database, _), database.reader() as session:
        found, after = suspensions.list_suspensions(session, is_open=None if every else True, limit=SHOWN)
    for one in found:
        print(_line(one))
    if not found:
        print("nothing is put off")
    elif after is not None:
        print("... and older ones")


@app.command()
def pause(
    on: ON, until: UNTIL = None, hours: HOURS = None, note: NOTE = "", why: WHY = "", data: DATA = None, config: CONFIG = None
) -> None:
    """Hold all that schedules ask for at a place, until its end or until somebody resumes; what is under way goes on."""
    _put_off("pause", on, until, hours, note, why, data, config)


@app.command("rain-delay")
def rain_delay(
    on: ON, until: UNTIL = None, hours: HOURS = None, note: NOTE = "", why: WHY = "", data: DATA = None, config: CONFIG = None
) -> None:
    """Hold watering at a place until its end; ponds are fed."""
    _put_off("rain-delay", on, until, hours, note, why, data, config)


@app.command()
def skip(
    zone: Annotated[str, typer.Argument(metavar="ZONE", help="SITE:DEVICE:NUMBER.")],
    note: NOTE = "",
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Leave out the next planned moment of a zone."""
    with control_database(config, data) as (database, now_ms), database.session() as session:
        made, _ = suspending.skip_next(session, On("zone", zone), note=note, now_ms=now_ms, trail=local_trail(why))
    print(_line(made))


@app.command()
def resume(
    what: Annotated[str, typer.Argument(metavar="ID|ON", help="Id as listed, or a place, of which all is resumed.")],
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Resume what is put off, or undo a skip."""
    with control_database(config, data) as (database, now_ms), database.session() as session:
        ids = [what]
        if ":" in what:
            found, _ = suspensions.list_suspensions(session, on=parse_on(what), is_open=True, limit=SHOWN)
            ids = [one.id for one in found]
            if not ids:
                raise NotFound("suspension", what)
        ended = [suspending.end_suspension(session, one, now_ms=now_ms, trail=local_trail(why)) for one in ids]
    for one in ended:
        print(_line(one))


def _put_off(
    kind: Literal["pause", "rain-delay"],
    on: str,
    until: str | None,
    hours: float | None,
    note: str,
    why: str,
    data: DATA,
    config: CONFIG,
) -> None:
    if until is not None and hours is not None:
        raise Invalid("until", "say until or hours, one of them")
    with control_database(config, data) as (database, now_ms), database.session() as session:
        until_ms = _instant(until) if hours is None else now_ms + round(hours * HOUR_MS)
        made, cancelled = suspending.suspend(
            session, kind, parse_on(on), until_ms=until_ms, note=note, now_ms=now_ms, trail=local_trail(why)
        )
    print(_line(made))
    if cancelled:
        print(f"{len(cancelled)} acts that waited are cancelled")


def _instant(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Invalid("until", "an instant with its offset from UTC, as 2026-11-23T14:00+08:00")
    return int(at.timestamp() * 1000)


def _line(one: Suspension) -> str:
    until = (
        "until somebody resumes" if one.until_ms is None else f"{'at' if one.kind == 'skip' else 'until'} {_time(one.until_ms)}"
    )
    note = f"  {one.note}" if one.note else ""
    ending = "" if one.ended_ms is None else f"  {one.ending} {_time(one.ended_ms)} by {one.ended_by}"
    return f"{one.id}  {one.kind}  {one.on}  {until}  by {one.actor}{note}{ending}"


def _time(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%MZ}"
