# SPDX-License-Identifier: Apache-2.0
"""What all bodies of requests have in common.

Invariant: a body is taken as it is written: a number in quotes is no number, and a name that is not known is refused,
for a misspelt limit that is passed over would be no limit.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Response
from pydantic import BaseModel, ConfigDict, Field

from gateway.topics import NAME_PATTERN

__all__ = ["Body", "IdempotencyKey", "IfMatch", "Name", "Tags", "Title", "tagged"]


class Body(BaseModel):
    """Base of every body of a request."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


Name = Annotated[str, Field(pattern=NAME_PATTERN)]
"""A site's or a device's name, as it stands in topics."""

# One line of printable signs: no control characters, no line or paragraph separators.
Title = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\xa0\xad\u2028\u2029]*$")]
"""What people call it."""

Tag = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$", examples=["taman"])]
Tags = Annotated[list[Tag], Field(max_length=20)]
"""Words of one's own by which things are found."""


def _version(
    if_match: Annotated[
        str | None,
        Header(
            pattern=r'^"[0-9]{1,9}"$',
            description="The `ETag` that the change is made from; if it is another one by now, the answer is 412.",
            examples=['"1"'],
        ),
    ] = None,
) -> int | None:
    return None if if_match is None else int(if_match.strip('"'))


IfMatch = Annotated[int | None, Depends(_version)]
"""The version that a change is made from; None does not ask."""


IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=r"^[\x21-\x7e]{1,200}$",
        description="Sent again with the same key, the request does nothing a second time. Make one for each thing wanted.",
        examples=["0f8fad5b-d9cb-469f-a165-70867728950e"],
    ),
]
"""What makes a request safe to send again."""


def tagged(version: int, response: Response) -> None:
    """Give an answer its `ETag`: the version of what it shows."""
    response.headers["etag"] = f'"{version}"'
