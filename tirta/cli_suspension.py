# SPDX-License-Identifier: Apache-2.0
"""`tirta suspension …`: what people put off.

While the service runs it is asked over HTTP, so that whoever listens is told at once; while it is stopped the control
database is written.
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
from tirta.client.suspensions import Suspension as Answer
from tirta.local import local_trail
from tirta.options import CONFIG, DATA, WHY
from tirta.running import running_client

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
    client = running_client(config, data, why)
    if client is not None:
        with client:
            print(_answer_line(client.suspensions.skip_next(zone, note=note)))
        return
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
    on = parse_on(what) if ":" in what else None
    client = running_client(config, data, why)
    if client is not None:
        with client:
            ids = [what] if on is None else [one.id for one in client.suspensions.list(on=str(on), open=True)]
            for one in ids:
                client.suspensions.resume(one)
            lines = [_answer_line(client.suspensions.get(one)) for one in ids]
    else:
        with control_database(config, data) as (database, now_ms), database.session() as session:
            found = [] if on is None else suspensions.list_suspensions(session, on=on, is_open=True, limit=SHOWN)[0]
            ids = [what] if on is None else [one.id for one in found]
            lines = [_line(suspending.end_suspension(session, one, now_ms=now_ms, trail=local_trail(why))) for one in ids]
    if not lines:
        raise NotFound("suspension", what)
    print("\n".join(lines))


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
    place, at = parse_on(on), None if until is None else _instant(until)
    client = running_client(config, data, why)
    if client is not None:
        with client:
            put_off = client.suspensions.pause if kind == "pause" else client.suspensions.delay_for_rain
            print(_answer_line(put_off(str(place), until=at, hours=hours, note=note)))
        return
    with control_database(config, data) as (database, now_ms), database.session() as session:
        until_ms = None if at is None else _ms(at)
        if hours is not None:
            until_ms = now_ms + round(hours * HOUR_MS)
        made, cancelled = suspending.suspend(
            session, kind, place, until_ms=until_ms, note=note, now_ms=now_ms, trail=local_trail(why)
        )
    print(_line(made))
    if cancelled:
        print(f"{len(cancelled)} acts that waited are cancelled")


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Invalid("until", "an instant with its offset from UTC, as 2026-11-23T14:00+08:00")
    return at


def _answer_line(one: Answer) -> str:
    """Return the line of what the service answered."""
    return _line(
        Suspension(
            id=one.id,
            kind=one.kind,
            on=one.on,
            site=None,
            begun_ms=_ms(one.begun),
            until_ms=None if one.until is None else _ms(one.until),
            note=one.note,
            actor=one.by,
            ended_ms=None if one.ended is None else _ms(one.ended),
            ended_by=one.ended_by,
            ending=one.ending,
        )
    )


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _line(one: Suspension) -> str:
    until = (
        "until somebody resumes" if one.until_ms is None else f"{'at' if one.kind == 'skip' else 'until'} {_time(one.until_ms)}"
    )
    note = f"  {one.note}" if one.note else ""
    ending = "" if one.ended_ms is None else f"  {one.ending} {_time(one.ended_ms)} by {one.ended_by}"
    return f"{one.id}  {one.kind}  {one.on}  {until}  by {one.actor}{note}{ending}"


def _time(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%MZ}"
