# SPDX-License-Identifier: Apache-2.0
"""`tirta report …`: what a day came to.

A running Tirta is asked; where none runs, the control database is: the report is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tirta.cli_tokens import control_database
from tirta.client import Client
from tirta.client.reports import DayReport
from tirta.errors import NotPossible
from tirta.folder import DataFolder
from tirta.options import CONFIG, DATA
from tirta.settings import load_settings

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="What was planned, and what came of it.")


class Language(str, Enum):  # noqa: UP042 - typer shows the values of such a class as choices
    """In which language it is told."""

    id = "id"
    en = "en"


@app.callback()
def report() -> None:
    """Reports."""


@app.command()
def day(
    site: Annotated[str | None, typer.Option(metavar="SITE", help="Only this site. [default: each, one after another]")] = None,
    day_of: Annotated[
        datetime | None,
        typer.Option("--date", metavar="YYYY-MM-DD", formats=["%Y-%m-%d"], help="Local date of the site. [default: today]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a site, with all there is.")] = False,
    language: Annotated[Language, typer.Option(help="Language of the text.")] = Language.en,
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Tell of each moment that the calendars had planned on a day what became of it and why, and what else was done.

    Ends with 1 where the ledger knows nothing of a planned moment.
    """
    from tirta.day_text import day_lines

    missing = False
    for number, found in enumerate(_reports(config, data, site, None if day_of is None else day_of.date())):
        missing |= found.totals.without_row > 0
        if as_json:
            print(msgspec.json.encode(found).decode())
            continue
        print(*([""] if number else []), *day_lines(found, language.value), sep="\n")
    if missing:
        raise typer.Exit(1)


def _reports(config: Path | None, data: Path | None, site: str | None, of: date | None) -> Iterator[DayReport]:
    folder = DataFolder(load_settings(config, data=data).data)
    if not folder.in_use:
        yield from _kept(config, data, site, of)
        return
    if not folder.file("ready.json").exists():
        raise NotPossible("the service on this data folder is starting or stopping; try again in a moment")
    with Client.from_ready_file(folder.file("ready.json")) as client:
        for name in [site] if site is not None else [each.site for each in client.sites.list()]:
            yield client.reports.day(name, of)


def _kept(config: Path | None, data: Path | None, site: str | None, of: date | None) -> Iterator[DayReport]:
    from api.reports import day_answer
    from control.paging import every
    from control.reports import day_report
    from control.sites import list_sites

    with control_database(config, data) as (database, now_ms), database.reader() as session:
        names = [site] if site is not None else [one.name for one in every(lambda after: list_sites(session, after=after))]
        for name in names:
            answer = day_answer(day_report(session, name, day=of, now_ms=now_ms))
            yield msgspec.json.decode(answer.model_dump_json(), type=DayReport)
