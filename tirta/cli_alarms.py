# SPDX-License-Identifier: Apache-2.0
"""`tirta alarms …`: what is wrong.

A running Tirta is asked, for it holds what a full disk did not take; where none answers, the control database is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, TypeVar

import typer

from control import alarms
from control.alarms import Alarm
from control.alarms_codes import SEVERITIES
from control.errors import NotFound, NotWritten
from control.ids import is_id
from control.sentences import alarm_sentence
from tirta.cli_tokens import control_database
from tirta.client import Alarm as ServiceAlarm
from tirta.client import Client, Retry
from tirta.errors import NotPossible, ServiceAnswer
from tirta.folder import DataFolder
from tirta.local import local_trail
from tirta.options import CONFIG, DATA, WHY
from tirta.settings import load_settings

__all__ = ["app"]

Answer = TypeVar("Answer")

app = typer.Typer(no_args_is_help=False, help="What is wrong: alarms that are open, or were; on stderr, what is wrong now.")


@app.callback(invoke_without_command=True)
def list_alarms(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    code: Annotated[str | None, typer.Option(metavar="CODE", help="Only of this code, as disk-filling.")] = None,
    severity: Annotated[str | None, typer.Option(metavar="WEIGHT", help="Only info, warning or critical ones.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, from the newest.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with all there is.")] = False,
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """List the alarms that are open, the newest first."""
    if context.invoked_subcommand is not None:
        return
    if severity is not None and severity not in SEVERITIES:
        raise NotPossible(f"{severity!r} is none of {', '.join(SEVERITIES)}")
    is_open = None if every else True
    folder = DataFolder(load_settings(config, data=data).data)
    if (wrong := _wrong_now(folder)) is not None:
        typer.echo(f"now: {wrong}", err=True)
    taken = _ask(folder, lambda client: list(islice(client.alarms.list(code=code, severity=severity, open=is_open), limit + 1)))
    if taken is not None:
        found, more = [_alarm(alarm) for alarm in taken[:limit]], len(taken) > limit
    else:
        with control_database(config, data) as (database, _), database.reader() as session:
            found, after = alarms.list_alarms(session, code=code, severity=severity, is_open=is_open, limit=limit)
        more = after is not None
    for alarm in found:
        print(json.dumps(asdict(alarm)) if as_json else _line(alarm))
    if as_json:
        return
    if not found:
        print("no alarm" if every else "no alarm is open")
    elif more:
        print(f"... and older ones; --limit shows more than {limit}")


@app.command()
def seen(
    alarm: Annotated[str, typer.Argument(metavar="ID", help="Id, as listed.")],
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Say that you have seen an alarm and take care of it; it ends when its cause does."""
    folder = DataFolder(load_settings(config, data=data).data)
    try:
        with control_database(config, data) as (database, now_ms), database.session() as session:
            found, new = alarms.mark_seen(session, alarm, now_ms=now_ms, trail=local_trail(why))
    except NotFound as exc:
        if is_id(alarm) and _ask(folder, lambda client: client.alarms.get(alarm)) is not None:
            raise NotWritten from exc
        raise
    print(f"{found.id} was seen by {found.seen_by} at {_at(found.seen_ms)}" if not new else f"{found.id} is marked as seen")


def _wrong_now(folder: DataFolder) -> str | None:
    """Say what is wrong and perhaps no alarm yet; and where nothing runs nobody raises one."""
    if not folder.in_use:
        return "Tirta does not run, so no alarm is raised and none ends"
    ready = folder.file("ready.json")
    if not ready.exists():
        return "Tirta is starting or stopping"
    try:
        with Client.from_ready_file(ready) as client:
            client.health()
    except ServiceAnswer as exc:
        return str(exc)
    return None


def _ask(folder: DataFolder, question: Callable[[Client], Answer]) -> Answer | None:
    """Return what a running Tirta answers, asked once; None where there is none, or no answer."""
    ready = folder.file("ready.json")
    if not folder.in_use or not ready.exists():
        return None
    try:
        with Client.from_ready_file(ready, retry=Retry(attempts=1)) as client:
            return question(client)
    except ServiceAnswer:
        return None


def _alarm(alarm: ServiceAlarm) -> Alarm:
    since_ms, cleared_ms, seen_ms = (_ms(at) for at in (alarm.since, alarm.cleared, alarm.seen))
    return Alarm(
        alarm.id,
        alarm.code,
        alarm.severity,
        alarm.subject,
        alarm.site,
        alarm.agency,
        alarm.details,
        since_ms or 0,
        cleared_ms,
        seen_ms,
        alarm.seen_by,
    )


def _ms(at: datetime | None) -> int | None:
    return None if at is None else round(at.timestamp() * 1000)


def _line(alarm: Alarm) -> str:
    until = "" if alarm.cleared_ms is None else f" until {_at(alarm.cleared_ms)}"
    by = "" if alarm.seen_by is None else f" (seen by {alarm.seen_by})"
    said = f" {alarm.details['said']}" if "said" in alarm.details else ""
    return (
        f"{alarm.id}  {_at(alarm.since_ms)}{until}  {alarm.severity:<8}  {alarm.code}: {alarm_sentence(alarm, 'en')}{said}{by}"
    )


def _at(ms: int | None) -> str:
    return datetime.fromtimestamp((ms or 0) / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
