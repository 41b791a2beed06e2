# SPDX-License-Identifier: Apache-2.0
"""`tirta act run`, `stop`, `stop-all`, `test-valves`: what is done by hand.

A running Tirta is asked, for nobody else can tell devices anything.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Final, Literal, cast

import typer
from msgspec import UNSET

from control.access import parse_scope
from tirta.client import Client
from tirta.client.acts import Act, StopAnswer, Valve
from tirta.errors import NotPossible
from tirta.options import CONFIG, DATA, WHY
from tirta.running import running_client

__all__ = ["app"]

app = typer.Typer()  # its commands are those of `tirta act` too

ACTIONS: Final = ("irrigate", "feed", "aerate")
LOOK_S: Final = 2.0  # between two looks at a test that is waited for, on the wall [s]


def _client(config: Path | None, data: Path | None, why: str) -> Client:
    client = running_client(config, data, why)
    if client is None:
        raise NotPossible("Tirta does not run on this data folder, so nothing can be told to a device; start it: tirta up")
    return client


@app.command()
def run(
    zone: Annotated[str, typer.Argument(metavar="SITE:DEVICE:ZONE", help="For example taman-kota:bedeng-1:1.")],
    action: Annotated[str, typer.Argument(help="irrigate, feed or aerate.")],
    seconds: Annotated[float | None, typer.Option(min=0, help="How long, of watering and aeration.")] = None,
    litres: Annotated[float | None, typer.Option(min=0, help="How much water.")] = None,
    grams: Annotated[float | None, typer.Option(min=0, help="How much feed.")] = None,
    override: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why it may go beyond what is left of the day or the month.")
    ] = None,
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Water, feed or aerate now; the zone's limits hold."""
    if action not in ACTIONS:
        raise NotPossible(f"{action!r} is none of {', '.join(ACTIONS)}")
    with _client(config, data, why) as client:
        act = client.acts.request(
            zone,
            cast("Literal['irrigate', 'feed', 'aerate']", action),
            seconds=UNSET if seconds is None else seconds,
            litres=UNSET if litres is None else litres,
            grams=UNSET if grams is None else grams,
            override=UNSET if override is None else override,
        )
    print(_line(act))


@app.command()
def stop(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="SITE:DEVICE:ZONE, SITE:DEVICE, or the id of an act.")],
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Stop a zone, every zone of a device, or one act."""
    with _client(config, data, why) as client:
        match what.count(":"):
            case 0:
                act = client.acts.stop(what)
            case 1:
                act = client.acts.stop_device(what)
            case _:
                act = client.acts.stop_zone(what)
    print(_line(act))


@app.command("stop-all")
def stop_all(
    place: Annotated[str, typer.Argument(metavar="PLACE", help="site:NAME, agency:CITY:NAME or city:NAME.")],
    pause: Annotated[
        int | None, typer.Option(metavar="MINUTES", min=1, max=20160, help="And have nothing begin there by plan for so long.")
    ] = None,
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Stop every device of a site, an agency or a city at once."""
    scope, minutes = parse_scope(place, "PLACE"), UNSET if pause is None else pause
    with _client(config, data, why) as client:
        answer: StopAnswer
        match scope.type:
            case "site":
                answer = client.acts.stop_site(scope.key, pause_minutes=minutes)
            case "agency":
                answer = client.acts.stop_agency(scope.key, pause_minutes=minutes)
            case "city":
                answer = client.acts.stop_city(scope.key, pause_minutes=minutes)
            case _:
                raise NotPossible("name a site, an agency or a city; each city is stopped by itself")
    print(f"{answer.devices} devices are told to stop, {answer.cancelled} acts that waited are withdrawn")


@app.command("test-valves")
def open_valves(
    where: Annotated[str, typer.Argument(metavar="WHERE", help="SITE, or SITE:DEVICE.")],
    wait: Annotated[bool, typer.Option("--wait", help="Until it is over; ends with 0 only when each valve is done.")] = False,
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Open each valve of a site or a device for 10 s, one after the other."""
    with _client(config, data, why) as client:
        test = client.valve_tests.begin_device(where) if ":" in where else client.valve_tests.begin_site(where)
        print(f"{test.id}: {test.zones} valves, {test.seconds:g} s each")
        while wait and test.state == "running":
            time.sleep(LOOK_S)
            test = client.valve_tests.get(test.id)
    if not wait:
        return
    for valve in test.valves:
        print(_valve(valve))
    if not all(valve.state == "done" for valve in test.valves):
        raise typer.Exit(1)


def _line(act: Act) -> str:
    return f"{act.id}  {act.sentence.en}"


def _valve(valve: Valve) -> str:
    litres = None if valve.result is None else valve.result.litres
    much = "" if litres is None else f"  {litres:.1f} L"
    return f"{valve.zone:<32} {valve.state or 'not tested'}{much}{'' if valve.reason is None else f' ({valve.reason})'}"
