# SPDX-License-Identifier: Apache-2.0
"""Lists: `{"items": [...], "next": null}`, cut into pages by `limit` and `after`.

Invariant: `next` is the `after` of the page that follows, and null on the last one.
"""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["LIMIT_DEFAULT", "LIMIT_MAX", "Listing", "NumberedPage", "Page", "RecordPage"]

LIMIT_DEFAULT: Final = 100
LIMIT_MAX: Final = 1_000

Item = TypeVar("Item")


class Page(BaseModel):
    """Which part of a list is wanted; a parameter that is not known is refused, or a misspelt filter would show all."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=LIMIT_DEFAULT, ge=1, le=LIMIT_MAX, description="Most items in the answer.")
    after: str | None = Field(
        default=None,
        pattern=r"^[0-9A-Za-z_:.-]{1,200}$",
        description="The `next` of the page before.",
    )


class NumberedPage(Page):
    """The same of a list whose cursor is a number."""

    after: str | None = Field(default=None, pattern=r"^[0-9]{1,18}$", description="The `next` of the page before.")

    @property
    def cursor(self) -> int | None:
        """The cursor as a number."""
        return None if self.after is None else int(self.after)


class RecordPage(Page):
    """The same of a list whose cursor is the id of an act or a schedule."""

    after: str | None = Field(
        default=None, pattern=r"^[0-7][0-9A-HJKMNP-TV-Z]{25}$", description="The `next` of the page before."
    )


class Listing(BaseModel, Generic[Item]):
    """A page of a list."""

    items: list[Item] = Field(description="The page's items.")
    next: str | None = Field(description="The `after` of the page that follows; null on the last page.")
