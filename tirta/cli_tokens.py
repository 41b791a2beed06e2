# SPDX-License-Identifier: Apache-2.0
"""`tirta token …`: bearer tokens of the HTTP API. Works on the control database, whether or not the service runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from control import tokens
from control.access import EVERYTHING, parse_grant
from control.database import Database, open_database
from control.paging import every
from gateway.clock import WallClock, read_clock
from tirta.errors import NotPossible
from tirta.folder import DataFolder
from tirta.local import local_trail
from tirta.options import CONFIG, DATA
from tirta.settings import load_settings

__all__ = ["app", "control_database"]

app = typer.Typer(no_args_is_help=True, help="Bearer tokens of the HTTP API.")

DAY_MS = 86_400_000


@contextmanager
def control_database(config: Path | None, data: Path | None) -> Iterator[tuple[Database, int]]:
    """Open the control database of an installation, with the time on its clock. [ms since the Unix epoch]"""
    settings = load_settings(config, data=data)
    folder = DataFolder(settings.data)
    if settings.database is None and not folder.file("control.db").exists():
        raise NotPossible(
            f"there is no Tirta in {folder.path} yet; start one there with `tirta up`, or name another with --data"
        )
    folder.open()
    database = open_database(settings.database_address(folder.file("control.db")))
    try:
        yield database, (read_clock(folder.file("clock.json")) or WallClock()).now_ms()
    finally:
        database.close()


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose or what it is for.")],
    role: Annotated[
        list[str] | None,
        typer.Option(
            "--role",
            "--rights",
            metavar="ROLE@PLACE",
            help="As viewer, or operator@site:taman-kota; several may be given. [default: supervisor and operator, everywhere]",
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=3660, help="It ends after so many days.")] = 365,
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Create a token and print it, this once."""
    asked = [text.partition("@") for text in role or ()]
    grants = [parse_grant(which, on or "*") for which, _, on in asked] or list(EVERYTHING)
    now_ms = WallClock().now_ms()
    with control_database(config, data) as (database, _), database.session() as session:
        text, _ = tokens.create(session, name, grants, now_ms=now_ms, expires_ms=now_ms + days * DAY_MS, trail=local_trail())
    print(text)


@app.command("list")
def list_tokens(data: DATA = None, config: CONFIG = None) -> None:
    """List the tokens that were not revoked, with their roles, end and last use; never their text."""
    with control_database(config, data) as (database, _), database.reader() as session:
        for token in every(lambda after: tokens.list_tokens(session, limit=1000, after=after)):
            ends = "no end" if token.expires_ms is None else f"ends {_day(token.expires_ms)}"
            used = "never used" if token.used_ms is None else f"used {_day(token.used_ms)}"
            print(f"{token.name:<24} {', '.join(map(str, token.grants)):<40} created {_day(token.created_ms)}, {ends}, {used}")


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="Its name.")], data: DATA = None, config: CONFIG = None) -> None:
    """End a token; it is refused from now on."""
    now_ms = WallClock().now_ms()
    with control_database(config, data) as (database, _), database.session() as session:
        tokens.revoke(session, name, now_ms=now_ms, trail=local_trail())
    print(f"{name} is revoked")


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
