# SPDX-License-Identifier: Apache-2.0
"""`tirta init`: make the secrets that a deployment by docker-compose.yml starts from."""

from __future__ import annotations

import secrets
from pathlib import Path

from gateway.processes import write_private

__all__ = ["write_env"]

_NOTE = """# Secrets of this installation; made by `tirta init`, read by docker-compose.yml. Keep it private and back it up.
"""


def write_env(path: Path) -> str:
    """Write the file, mode 0600, unless it is there; return a line that says what was done."""
    if path.exists():
        return f"{path} is there already and was left as it is; delete it to make new secrets (InfluxDB keeps its old ones)"
    values = {
        "INFLUX_ORG": "tirta",
        "INFLUX_BUCKET": "tirta",
        "INFLUX_ADMIN_PASSWORD": secrets.token_urlsafe(24),
        "INFLUX_TOKEN": secrets.token_urlsafe(48),
        "GRAFANA_ADMIN_PASSWORD": secrets.token_urlsafe(24),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, _NOTE + "".join(f"{name}={value}\n" for name, value in values.items()))
    return f"{path} written; next: docker-compose up -d"
