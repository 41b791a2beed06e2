# SPDX-License-Identifier: Apache-2.0
"""Registry, schedules, ledger of acts and the controller."""

from __future__ import annotations

__all__: list[str] = []
