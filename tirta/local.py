# SPDX-License-Identifier: Apache-2.0
"""Who calls the command line, for the audit trail: the account of the system that the command runs as.

Whoever may write the data folder may do everything there; that is why the account is entered, and no more asked.
"""

from __future__ import annotations

import os
import pwd
from dataclasses import replace

from control.audit import Trail
from gateway.clock import WallClock

__all__ = ["account", "local_trail", "local_why"]


def account() -> str:
    """Return the name of the account that this process runs as, or its number where it has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def local_trail(why: str = "") -> Trail:
    """Return the trail of a change made on the command line, with the account as where it came from."""
    return replace(Trail.local(WallClock().now_ms(), why), address=f"account {account()}")


def local_why(why: str = "") -> str:
    """Return why something is asked of the running service, which knows the command line by its token alone."""
    said = f"command line, account {account()}"
    return f"{said}: {why}" if why else said
