# SPDX-License-Identifier: Apache-2.0
"""What to do now, and why: pure functions over arrays, one row a zone or pond.

Each rule is `evaluate(state, params, calendar, now) -> Plan`. It keeps nothing, reads no clock and knows no device;
whoever calls it acts on the plan. Hard limits come last, in `rules.interlocks`.
"""

from __future__ import annotations

from rules import feeding, irrigation, timer
from rules.plan import Plan
from rules.reasons import Reason, names

__all__ = ["Plan", "Reason", "feeding", "irrigation", "names", "timer"]
