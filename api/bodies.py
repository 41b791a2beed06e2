# SPDX-License-Identifier: Apache-2.0
"""What all bodies of requests have in common.

Invariant: a body is taken as it is written: a number in quotes is no number, and a name that is not known is refused,
for a misspelt limit that is passed over would be no limit.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from gateway.topics import NAME_PATTERN

__all__ = ["Body", "Name", "Title"]


class Body(BaseModel):
    """Base of every body of a request."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A site's or a device's name, as it stands in topics."""

# One line of printable signs: no control characters, no line or paragraph separators.
Title = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\xa0\xad\u2028\u2029]*$")]
"""What people call it."""
