# SPDX-License-Identifier: Apache-2.0
"""The API against its own description, asked as everybody: generated requests, right and wrong, by each role and by nobody.

`python -m tests.fuzz` runs it at length, tests/integration/api/test_schema.py briefly.
"""

from __future__ import annotations

from tests.fuzz.asking import Report, ask_everything
from tests.fuzz.ground import CALLERS, Ground, furnish, furnished

__all__ = ["CALLERS", "Ground", "Report", "ask_everything", "furnish", "furnished"]
