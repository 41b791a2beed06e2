# SPDX-License-Identifier: Apache-2.0
"""`tirta audit …`: who changed and did what. Works on the control database, whether or not the service runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from control import audit
from tirta.cli_tokens import control_database
from tirta.errors import NotPossible
from tirta.options import CONFIG, DATA

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="The audit trail: who changed and did what.")


@app.command("list")
def list_entries(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, from the newest.")] = 50,
    actor: Annotated[str | None, typer.Option(metavar="NAME", help="Only by this one.")] = None,
    action: Annotated[str | None, typer.Option(metavar="NOUN.VERB", help="Only this action.")] = None,
    target: Annotated[str | None, typer.Option(metavar="NOUN:KEY", help="Only to this.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with all there is.")] = False,
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """List entries, the newest first."""
    with control_database(config, data) as (database, _), database.reader() as session:
        entries, _ = audit.list_entries(session, actor=actor, action=action, target=target, limit=limit)
    for entry in entries:
        if as_json:
            print(json.dumps({name: getattr(entry, name) for name in audit.Entry.__dataclass_fields__}))
            continue
        at = datetime.fromtimestamp(entry.at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        changed = " ".join(f"{name}={value}" for name, value in (entry.after or {}).items())
        why = f' "{entry.why}"' if entry.why else ""
        print(f"{entry.id:>6}  {at}  {entry.actor:<16} {entry.action:<18} {entry.target}  {changed[:120]}{why}".rstrip())


@app.command()
def verify(
    expect: Annotated[
        str | None, typer.Option(metavar="NUMBER:DIGEST", help="An entry noted before: it must still be there as it was.")
    ] = None,
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Go through the whole trail and check it; ends with 0 only when nothing was changed."""
    with control_database(config, data) as (database, _), database.reader() as session:
        verdict = audit.verify(session)
        noted = _noted(expect)
        kept = None if noted is None else audit.get_entry(session, noted[0])
    if verdict.wrong is not None:
        raise NotPossible(f"entry {verdict.wrong} does not fit to the one before it: the trail was changed there or after")
    if noted is not None and (kept is None or kept.digest != noted[1]):
        raise NotPossible(f"entry {noted[0]} is not what it was: the trail was cut off or written anew")
    print(f"{verdict.entries} entries, each fits; the last: {verdict.entries}:{verdict.head}")


def _noted(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    number, _, digest = text.partition(":")
    if not (number.isascii() and number.isdecimal() and len(number) < 18 and len(digest) == 64):
        raise NotPossible("--expect takes what `tirta audit verify` printed: NUMBER:DIGEST")
    return int(number), digest
