# SPDX-License-Identifier: Apache-2.0
"""What holds for the query of every address: a parameter stands in it once.

Invariant: of two values that contradict each other neither is taken silently.
"""

from __future__ import annotations

from fastapi import Request

from api.errors import InvalidField

__all__ = ["refuse_repeated"]


async def refuse_repeated(request: Request) -> None:
    """Refuse a parameter that is given twice; no route takes a list of values this way.

    Raises
    ------
    InvalidField
        It names the first that is repeated.
    """
    seen = set()
    for name, _ in request.query_params.multi_items():
        if name in seen:
            raise InvalidField(name, "give this parameter once")
        seen.add(name)
