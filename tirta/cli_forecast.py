# SPDX-License-Identifier: Apache-2.0
"""`tirta forecast …`: weather ahead. Works on the control database, whether or not the service runs, and without a network."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer
from sqlalchemy.orm import Session

from control import forecasts, registry
from control.audit import Trail
from control.errors import Invalid
from control.forecasts import Forecast, ForecastCache
from tirta.cli_tokens import control_database
from tirta.errors import NotPossible
from tirta.forecast_files import MAX_BYTES, Defaults, Issue, read_forecasts
from tirta.local import local_trail
from tirta.options import CONFIG, DATA, WHY

__all__ = ["app"]

SHOWN: Final = 1000  # issues that a list shows at most

app = typer.Typer(no_args_is_help=True, help="Weather ahead, by site: what is forecast, from files.")

SITE = Annotated[str | None, typer.Option("--site", metavar="SITE", help="Of which site.")]


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or JSON, see docs/forecasts.md; - reads from stdin.")],
    site: SITE = None,
    source: Annotated[
        str, typer.Option("--source", metavar="NAME", help="Who forecasts, where the file does not say.")
    ] = "file",
    issued: Annotated[
        str | None,
        typer.Option("--issued", metavar="TIME", help="When it was issued, where the file does not say. [default: now]"),
    ] = None,
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Keep the forecasts of a file, all or none; the same issue again takes the place of what was there.

    CSV has one hour or day a line, under the names of its columns: site, source, issued, start and hours or day, rain_mm,
    rain_probability, temperature_min_c, temperature_max_c, temperature_mean_c, et0_mm. JSON is what POST /api/v1/forecasts
    takes, or a list of it.
    """
    text = _read(file)
    with control_database(config, data) as (database, now_ms), database.session() as session:
        issued_ms = now_ms if issued is None else _instant(issued)
        issues = read_forecasts(text, Defaults(site, source, issued_ms), lambda name: _zone(session, name))
        kept = [_keep(session, issue, now_ms, local_trail(why)) for issue in issues]
    for forecast, new in kept:
        print(f"{'kept' if new else 'replaced'}  {_line(forecast)}")


@app.command("list")
def list_issues(site: SITE = None, data: DATA = None, config: CONFIG = None) -> None:
    """List the issues that are kept, the latest first, and which of them counts."""
    with control_database(config, data) as (database, now_ms), database.reader() as session:
        found, after = forecasts.list_forecasts(session, site=site, limit=SHOWN)
        in_force = forecasts.load_forecasts(session, ForecastCache(), {one.site for one in found})
    for one in found:
        counts = in_force[one.site].id == one.id
        word = "" if not counts else "  counts" if one.believed(now_ms) else "  too old to be believed"
        print(f"{one.id}  {_line(one)}{word}")
    if not found:
        print("no forecast; rules and previews take it that nothing changes")
    elif after is not None:
        print("... and older ones")


@app.command()
def remove(
    forecast: Annotated[str, typer.Argument(metavar="ID", help="Id, as listed.")],
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Withdraw an issue; the one before it counts again."""
    with control_database(config, data) as (database, _), database.session() as session:
        forecasts.delete_forecast(session, forecast, trail=local_trail(why))
    print(f"{forecast} is withdrawn")


def _read(file: Path) -> str:
    try:
        if str(file) == "-":
            raw = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with file.open("rb") as opened:
                raw = opened.read(MAX_BYTES + 1)
    except OSError as exc:
        raise NotPossible(f"cannot read {file}: {exc.strerror}") from exc
    if len(raw) > MAX_BYTES:
        raise NotPossible(f"{file} is larger than {MAX_BYTES // 2**20} MiB; give it in several files")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        raise NotPossible(f"{file}, line {line}: this is no UTF-8; save the file in it") from exc


def _zone(session: Session, site: str) -> ZoneInfo:
    return registry.get_site(session, site).zone


def _keep(session: Session, issue: Issue, now_ms: int, trail: Trail) -> tuple[Forecast, bool]:
    try:
        return forecasts.keep_forecast(
            session, issue.site, issue.source, issue.issued_ms, issue.entries, now_ms=now_ms, trail=trail
        )
    except Invalid as exc:
        name, number, rest = (*exc.field.split(".", 2), "", "")[:3]
        place = issue.places[int(number)] if name == "entries" and number.isdecimal() else issue.places[0]
        raise NotPossible(f"{place}: {f'{rest}: ' if rest else '' if number else f'{name}: '}{_told(exc, issue)}") from exc


def _told(exc: Invalid, issue: Issue) -> str:
    """Return what is wrong, with the file's own places for the entries that it names."""
    text = exc.detail
    for number in range(len(issue.places) - 1, -1, -1):
        text = text.replace(f"entries.{number};", f"{issue.places[number]};")
    return text


def _instant(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError(text)
    except ValueError as exc:
        raise NotPossible(f"--issued {text!r} is no time with its offset, as 2026-11-23T04:00Z") from exc
    return round(found.timestamp() * 1000)


def _line(one: Forecast) -> str:
    rain = one.rain_mm(one.entries[0].start_ms, one.entries[-1].end_ms)
    return (
        f"{one.site:<24} {one.source} of {_at(one.issued_ms)}: {len(one.entries)} entries, "
        f"{_at(one.entries[0].start_ms)} to {_at(one.entries[-1].end_ms)}, {rain:.1f} mm of rain"
    )


def _at(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")
