# SPDX-License-Identifier: Apache-2.0
"""`tirta release`: let a zone act again whose acts had no effect.

While the service runs it is asked over HTTP; while it is stopped the control database is written.
"""

from __future__ import annotations

from typing import Annotated

import typer

from control.proofs import release_zone
from tirta.cli_tokens import control_database
from tirta.errors import NotPossible
from tirta.local import local_trail
from tirta.options import CONFIG, DATA, WHY
from tirta.running import running_client

__all__ = ["release"]


def release(
    zone: Annotated[str, typer.Argument(metavar="SITE:DEVICE:ZONE", help="For example taman-kota:bedeng-1:1.")],
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Let a zone act by its schedule again that is held because its acts had no effect."""
    if zone.count(":") != 2:
        raise NotPossible(f"{zone!r} is not SITE:DEVICE:ZONE")
    client = running_client(config, data, why)
    if client is not None:
        with client:
            client.zones.release(zone)
    else:
        with control_database(config, data) as (database, now_ms), database.session() as session:
            release_zone(session, zone, now_ms=now_ms, trail=local_trail(why))
    print(f"{zone} acts by its schedule again")
