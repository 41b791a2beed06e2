# SPDX-License-Identifier: Apache-2.0
"""`tirta why`: why a zone was watered or fed, or was not, in one sentence and with what was seen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

import typer

from api.instants import parse_instant
from control.calendars import instant, local_date, minutes_of
from control.records import Seen
from control.registry import get_site, get_zone
from control.why import ZoneWhy, why_zone
from tirta.cli_tokens import control_database
from tirta.errors import NotPossible
from tirta.options import CONFIG, DATA

__all__ = ["why"]

_LOCAL: Final = re.compile(r"(?:([0-9]{4}-[0-9]{2}-[0-9]{2})[T ])?([01][0-9]|2[0-3]):([0-5][0-9])")


def why(
    zone: Annotated[str, typer.Argument(metavar="ZONE", help="As taman-kota:bedeng-1:1.")],
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="05:30 or 2026-11-22T05:30 there, or an instant with its offset; now unless told."),
    ] = None,
    language: Annotated[str, typer.Option(metavar="LANGUAGE", help="en or id.")] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object, with all there is.")] = False,
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Tell why a zone was watered or fed, or was not, now or at some time of the last 90 days."""
    if language not in ("en", "id"):
        raise NotPossible(f"{language[:20]!r} is no language that Tirta speaks: en or id")
    spoken: Literal["en", "id"] = "id" if language == "id" else "en"
    with control_database(config, data) as (database, now_ms), database.reader() as session:
        place = get_site(session, get_zone(session, zone).site).zone
        found = why_zone(session, zone, now_ms if at is None else _instant(at, place, now_ms), now_ms)
    if as_json:
        print(json.dumps(asdict(found), default=str))
        return
    print(found.sentence[spoken])
    for line in _details(found):
        print(f"  {line}")


def _instant(text: str, place: ZoneInfo, now_ms: int) -> int:
    match = _LOCAL.fullmatch(text)
    try:
        if match is None:
            return parse_instant(text)
        day = local_date(place, now_ms) if match[1] is None else date.fromisoformat(match[1])
        return instant(day, minutes_of(f"{match[2]}:{match[3]}"), place)
    except ValueError as exc:
        raise NotPossible(f"--at {text[:40]!r}: 05:30, 2026-11-22T05:30, or 2026-11-22T05:30:00+08:00") from exc


def _details(found: ZoneWhy) -> Iterator[str]:
    if (ground := found.ground) is not None:
        yield f"decided {_at(ground.decision.at_ms)} by {ground.decision.kind}: {', '.join(ground.decision.reasons)}"
        seen = [
            f"{one.name} {_value(one.value)}{f' {one.unit}' if one.unit else ''}"
            + (f" ({one.age_s:.0f} s old)" if one.age_s is not None else "")
            for one in ground.inputs
        ]
        yield f"seen: {', '.join(seen)}"
        yield f"thresholds: {_listed(ground.thresholds)}"
        yield f"calendar: {_listed(ground.calendar)}"
    if found.act is not None and found.act.act.proof:
        yield f"proof: {_listed(found.act.act.proof)}"
    for step in found.act.steps if found.act is not None else ():
        yield f"{_at(step.at_ms)}  {step.state:<13}  {step.cause} ({step.actor})"


def _listed(values: Mapping[str, Seen]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in values.items())


def _value(value: Seen) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _at(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
