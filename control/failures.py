# SPDX-License-Identifier: Apache-2.0
"""What a failure of a control database's driver means to who asked.

Invariant: only the driver's own words are told. The statement and its values, which the wrapper adds, are nobody's business.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy.exc import DatabaseError, DataError, DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection

from control.errors import ControlError, DatabaseMismatch, DatabaseUnavailable, Invalid

__all__ = ["named_failure"]

DETAIL_MAX: Final = 300  # characters of what the database says of a failure


def named_failure(exc: SQLAlchemyError, where: str) -> ControlError | None:
    """Return what a failure means here; None where it is a fault of ours.

    Parameters
    ----------
    where : str
        The database's address, as people are shown it.
    """
    if isinstance(exc, NoConnection):
        return DatabaseUnavailable("the control database is busy: all its connections are in use")
    if not isinstance(exc, DBAPIError):
        return None
    said = " ".join(str(exc.orig).split())[:DETAIL_MAX]
    if isinstance(exc, DataError):
        return Invalid("value", f"it cannot be stored: {said}")
    if isinstance(exc, OperationalError) or exc.connection_invalidated or _is_read_only(exc):
        return DatabaseUnavailable(f"the control database {where} did not answer: {said}")
    if isinstance(exc, DatabaseError) and "not a database" in said:
        return DatabaseMismatch(f"the control database cannot be read: {said}")
    if getattr(exc.orig, "sqlstate", None) == "42501":
        return DatabaseMismatch(f"the control database {where} gives too few rights: {said}")
    return None


def _is_read_only(exc: DBAPIError) -> bool:
    # A standby that has not taken over yet.
    return getattr(exc.orig, "sqlstate", None) == "25006"
