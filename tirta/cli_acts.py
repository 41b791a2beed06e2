# SPDX-License-Identifier: Apache-2.0
"""`tirta act …`: what was planned and done, and telling how an act ended that nobody heard of."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from control import ledger, requests
from control.records import Act
from control.sentences import act_sentence
from control.settling import Settlement
from tirta.cli_tokens import control_database
from tirta.local import local_trail
from tirta.options import CONFIG, DATA, WHY

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Acts: what was planned, sent and done.")


@app.command("list")
def list_acts(
    zone: Annotated[str | None, typer.Option(metavar="ZONE", help="Only of this zone, as taman-kota:bedeng-1:1.")] = None,
    state: Annotated[str | None, typer.Option(metavar="STATE", help="Only in this state, as unknown.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, from the latest planned.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with all there is.")] = False,
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """List acts, the latest planned first."""
    with control_database(config, data) as (database, _), database.reader() as session:
        found, after = ledger.list_acts(session, zone_key=zone, state=state, limit=limit)
    for act in found:
        print(json.dumps(asdict(act)) if as_json else _line(act))
    if not as_json and not found:
        print("no act")
    elif not as_json and after is not None:
        print(f"... and earlier ones; --limit shows more than {limit}")


@app.command()
def show(
    act: Annotated[str, typer.Argument(metavar="ID", help="Id, as listed.")],
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Show an act with every step it took: when, what, why and by whom."""
    with control_database(config, data) as (database, _), database.reader() as session:
        found, steps = ledger.get_act(session, act), ledger.list_transitions(session, act)
    print(_line(found))
    for step in steps:
        print(f"  {_at(step.at_ms)}  {step.state:<13}  {step.cause} ({step.actor})")


@app.command()
def settle(
    act: Annotated[str, typer.Argument(metavar="ID", help="Id of an act whose state is unknown.")],
    state: Annotated[
        str,
        typer.Option(metavar="STATE", help="done; failed where nothing came of it; indeterminate where nobody can tell."),
    ],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="What you saw, or how you know.")],
    seconds: Annotated[float | None, typer.Option(min=0, help="How long it ran. [s]")] = None,
    litres: Annotated[float | None, typer.Option(min=0, help="How much water came. [L]")] = None,
    grams: Annotated[float | None, typer.Option(min=0, help="How much feed. [g]")] = None,
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Tell how an act of unknown end ended, as you saw it; its device's own word, should it still come, wins."""
    trail = local_trail(why)
    with control_database(config, data) as (database, now_ms), database.session() as session:
        seen = Settlement(state, reason, seconds, litres, grams)
        ended = requests.settle_act(session, act, seen, actor=trail.actor, now_ms=now_ms, trail=trail)
    print(_line(ended))


def _line(act: Act) -> str:
    where = act.zone_key or act.device_key
    return f"{act.id}  {_at(act.planned_ms)}  {where:<28}  {act_sentence(act, 'en')}"


def _at(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
