# SPDX-License-Identifier: Apache-2.0
"""Lists in an order that is chosen, page by page.

Invariant: a page begins behind the last item of the one before, whatever was added or taken away in between: the cursor is
that item's place in the order, not a count.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Select, String, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from control.checks import check_limit, is_number, storable
from control.errors import Invalid

__all__ = ["Order", "cut", "every"]

NO_CURSOR: Final = "the value of `next` in the answer before"

Found = TypeVar("Found")
AnySelect = TypeVar("AnySelect", bound=Select[*tuple[Any, ...]])


@dataclass(frozen=True, slots=True)
class Order:
    """How a list may be sorted.

    Attributes
    ----------
    key : column
        Unique, a text or a number; the order where nothing else is asked for, and between equals.
    by : mapping
        Columns that may be sorted by, never NULL, by the name they are asked for with.
    standard : str
        The order where none is asked for; "-" before a name is the other way round.
    is_key : callable
        Tells whether a text has the form of a key; another one is no cursor.
    number : bool
        Whether the key is a number.
    bytewise : bool
        Whether texts are sorted by their bytes, and not as the database's own language has it: as Python sorts what is beside.
    """

    key: InstrumentedAttribute[Any]
    by: Mapping[str, InstrumentedAttribute[Any]]
    standard: str
    is_key: Callable[[str], bool] = storable
    number: bool = False
    bytewise: bool = False

    def apply(self, query: AnySelect, sort: str | None, limit: int, after: str | None, dialect: str = "sqlite") -> AnySelect:
        """Return the query in that order, one row more than `limit` from behind `after`."""
        column, down = self._read(sort)
        single = column is self.key
        columns = [self._compared(each, dialect) for each in ((column,) if single else (column, self.key))]
        query = query.order_by(*(each.desc() if down else each.asc() for each in columns)).limit(check_limit(limit) + 1)
        if after is None:
            return query
        place = self._place(after, column)
        bound = columns[0] if single else tuple_(*columns)
        return query.where(bound < place if down else bound > place)

    def merged(self, rows: Iterable[Any], beside: Iterable[Any], sort: str | None, after: str | None) -> list[Any]:
        """Return rows that were found from behind `after`, and those of others beside them that belong there, in order."""
        column, down = self._read(sort)
        single = column is self.key
        place = attrgetter(self.key.key) if single else attrgetter(column.key, self.key.key)
        if after is not None:
            last = self._place(after, column)
            beside = [each for each in beside if (place(each) < last if down else place(each) > last)]
        return sorted([*rows, *beside], key=place, reverse=down)

    def cursor(self, row: Any, sort: str | None) -> str:
        """Return the cursor of the page that follows this row."""
        column, _ = self._read(sort)
        key = getattr(row, self.key.key)
        return str(key) if column is self.key else _closed(getattr(row, column.key), str(key))

    def _compared(self, column: InstrumentedAttribute[Any], dialect: str) -> ColumnElement[Any]:
        # SQLite compares bytes where nothing else is asked for.
        if self.bytewise and dialect == "postgresql" and isinstance(column.type, String):
            return column.collate("C")
        return column.expression

    def _place(self, after: str, column: InstrumentedAttribute[Any]) -> Any:
        if column is self.key:
            return self._key(after)
        value, key = _opened(after)
        if isinstance(value, str) != isinstance(column.type, String):  # the cursor of another order
            raise Invalid("after", NO_CURSOR)
        return value, self._key(key)

    def _key(self, text: str) -> str | int:
        if not (is_number(text) if self.number else self.is_key(text)):
            raise Invalid("after", NO_CURSOR)
        return int(text) if self.number else text

    def _read(self, sort: str | None) -> tuple[InstrumentedAttribute[Any], bool]:
        text = sort or self.standard
        column = self.by.get(text.removeprefix("-"))
        if column is None:
            raise Invalid("sort", f"one of {', '.join(self.by)}, with - before it for the other way round")
        return column, text.startswith("-")


def cut(
    session: Session,
    query: Select[Any],
    order: Order,
    shape: Callable[[Any], Found],
    *,
    sort: str | None,
    limit: int,
    after: str | None,
    beside: Sequence[Any] = (),
) -> tuple[list[Found], str | None]:
    """Return one page of a query of rows, and the cursor of the next one if there is one.

    Parameters
    ----------
    beside : sequence
        Rows that the database does not have, and that belong to the list; the order must be `bytewise`.
    """
    rows: Sequence[Any] = session.scalars(order.apply(query, sort, limit, after, session.get_bind().dialect.name)).all()
    if beside:
        rows = order.merged(rows, beside, sort, after)
    return [shape(row) for row in rows[:limit]], order.cursor(rows[limit - 1], sort) if len(rows) > limit else None


def every(page: Callable[[str | None], tuple[Sequence[Found], str | None]]) -> Iterator[Found]:
    """Yield every item of a list, page by page; `page` returns the one that follows a cursor."""
    after: str | None = None
    while True:
        items, after = page(after)
        yield from items
        if after is None:
            return


def _closed(value: object, key: str) -> str:
    text = json.dumps([value, key], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode("ascii")).decode("ascii").rstrip("=")


def _opened(after: str) -> tuple[Any, str]:
    try:
        value, key = json.loads(base64.urlsafe_b64decode(after.encode("ascii") + b"=" * (-len(after) % 4)))
        if isinstance(key, str) and storable(key) and _plain(value):
            return value, key
    except (ValueError, binascii.Error, TypeError, RecursionError):
        pass
    raise Invalid("after", NO_CURSOR)


def _plain(value: object) -> bool:
    if isinstance(value, str):
        return storable(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 62
