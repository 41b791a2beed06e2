# SPDX-License-Identifier: Apache-2.0
"""`tirta init`: make what a deployment by docker-compose.yml starts from.

Two things, each at its own moment: the secrets in an `.env`, once, before anything runs; and the folder of a mosquitto that
runs beside Tirta, at each start, before either. Invariant: what is there and still counts is never replaced, neither
secrets nor the broker's users.
"""

from __future__ import annotations

import os
import pwd
import secrets
from pathlib import Path

from gateway.broker_config import BrokerFiles, BrokerLimits, configuration_text
from gateway.broker_users import BrokerUsers
from gateway.processes import write_private
from tirta.errors import NotPossible

__all__ = ["write_broker", "write_env"]

_NOTE = """# Secrets of this installation; made by `tirta init`, read by docker-compose.yml. Keep it private and back it up.
"""


def write_env(path: Path) -> str:
    """Write the file, mode 0600, unless it is there; return a line that says what was done.

    Raises
    ------
    NotPossible
        It cannot be written there.
    """
    if path.exists():
        return f"{path} is there already and was left as it is; delete it to make new secrets (InfluxDB keeps its old ones)"
    values = {
        "INFLUX_ORG": "tirta",
        "INFLUX_BUCKET": "tirta",
        "INFLUX_ADMIN_PASSWORD": secrets.token_hex(20),
        "INFLUX_TOKEN": secrets.token_hex(32),
        "GRAFANA_ADMIN_PASSWORD": secrets.token_hex(20),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, _NOTE + "".join(f"{name}={value}\n" for name, value in values.items()))
    except OSError as exc:
        raise NotPossible(f"cannot write {path}: {exc.strerror}") from exc
    return f"{path} written; next: docker-compose up -d"


def write_broker(folder: Path, host: str, port: int) -> str:
    """Write the folder of a mosquitto that runs beside Tirta; return a line that says what was done.

    The main file is written anew. Users and rights are written only where there are none: then nobody is let in until
    Tirta, told of the folder by TIRTA_BROKER_FOLDER, writes them.

    Parameters
    ----------
    folder : Path
        As mosquitto itself sees it: its files name each other by it. It keeps its queues there too.
    host, port
        Where mosquitto is to listen.

    Raises
    ------
    NotPossible
        It cannot be written there.
    """
    files = BrokerFiles(folder.expanduser().resolve())
    # Started as root, mosquitto would become another account that cannot read what is private to this one.
    user = pwd.getpwuid(0).pw_name if os.geteuid() == 0 else None
    try:
        files.store.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.folder.chmod(0o700)
        text = configuration_text(files, host=host, port=port, limits=BrokerLimits(), log=None, user=user)
        write_private(files.configuration, text)
        if not (files.passwords.exists() and files.acl.exists()):
            BrokerUsers(files, {}).write()
    except OSError as exc:
        raise NotPossible(f"cannot write the broker's files in {files.folder}: {exc.strerror}") from exc
    return f"{files.folder} is ready for: mosquitto -c {files.configuration}"
