# SPDX-License-Identifier: Apache-2.0
"""`tirta budget …`: how much water agencies may give in a month, and have given.

The control database is asked and written, whether the service runs or not: it reads the budget each minute.
"""

from __future__ import annotations

from typing import Annotated

import typer

from control import budgets
from control.budgets import MONTHS, WaterBook
from tirta.cli_tokens import control_database
from tirta.errors import NotPossible
from tirta.local import local_trail
from tirta.options import CONFIG, DATA, WHY

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Water that agencies may give in a month.")

AGENCY = Annotated[str, typer.Argument(metavar="CITY:AGENCY", help="For example balikpapan:dlh.")]


@app.command()
def show(agency: AGENCY, data: DATA = None, config: CONFIG = None) -> None:
    """Show an agency's water of each month, and what was given of this month's."""
    with control_database(config, data) as (database, now_ms), database.reader() as session:
        months = budgets.get_budget(session, agency)
        now = WaterBook().standings(session, now_ms, [agency], keep=False)[agency]
    for number, litres in enumerate(months, 1):
        print(f"month {number:>2}  {_litres(litres)}")
    share = "" if now.share is None else f" ({now.share:.0%})"
    print(f"{now.month}: {now.given_l:.0f} L given of {_litres(now.budget_l)}{share}")


@app.command("set")
def set_budget(
    agency: AGENCY,
    litres: Annotated[float | None, typer.Argument(metavar="[LITRES]", min=0, max=1e9, help="A month, each year.")] = None,
    month: Annotated[
        list[int] | None, typer.Option(min=1, max=MONTHS, help="Only of this month, 1 to 12; may be given several times.")
    ] = None,
    no_limit: Annotated[bool, typer.Option("--no-limit", help="Take the limit away.")] = False,
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Set how much water an agency may give in a month; it holds from the next minute on."""
    if (litres is None) is not no_limit:
        raise NotPossible("say how many litres, or --no-limit")
    with control_database(config, data) as (database, _), database.session() as session:
        wanted = list(budgets.get_budget(session, agency))
        for number in month or range(1, MONTHS + 1):
            wanted[number - 1] = litres
        budgets.set_budget(session, agency, wanted, trail=local_trail(why))
    print(
        f"{agency}: {_litres(litres)}, months {', '.join(map(str, sorted(set(month))))}"
        if month
        else f"{agency}: {_litres(litres)}"
    )


def _litres(litres: float | None) -> str:
    return "no limit" if litres is None else f"{litres:.0f} L"
