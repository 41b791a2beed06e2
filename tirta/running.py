# SPDX-License-Identifier: Apache-2.0
"""The service that runs on a data folder, for commands that ask it instead of writing behind its back.

Invariant: between its start and its being ready, and while it stops, nobody is told that it is not there.
"""

from __future__ import annotations

from pathlib import Path

from tirta.client import Client
from tirta.errors import NotPossible
from tirta.folder import DataFolder
from tirta.local import local_why
from tirta.settings import load_settings

__all__ = ["running_client"]


def running_client(config: Path | None, data: Path | None, why: str = "") -> Client | None:
    """Return a client of the service that runs on the data folder, with the account in its audit trail; None where none runs.

    Raises
    ------
    NotPossible
        It is just starting or stopping.
    """
    folder = DataFolder(load_settings(config, data=data).data)
    if not folder.in_use:
        return None
    if not folder.file("ready.json").exists():
        raise NotPossible("the service on this data folder is starting or stopping; try again in a moment")
    return Client.from_ready_file(folder.file("ready.json"), why=local_why(why))
