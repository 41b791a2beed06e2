# SPDX-License-Identifier: Apache-2.0
"""The HTTP API: thin routes over the registry, the ledger and the stores."""

from __future__ import annotations

from api.app import create_app
from api.services import HealthCheck, Issued, Provisioner, Services

__all__ = ["HealthCheck", "Issued", "Provisioner", "Services", "create_app"]
