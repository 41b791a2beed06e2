# SPDX-License-Identifier: Apache-2.0
"""A connection to a PostgreSQL that does not wait without end.

A server that stands still (its disk hangs, its machine is paused) keeps the connection open and says nothing; no bound of
its own ends that. Invariant: after `answer_s` the connection is closed and whoever waited is told. Imported where a
PostgreSQL is used, and there alone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import psycopg
from psycopg import pq
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow

__all__ = ["PatientConnection", "is_coming"]

Answer = TypeVar("Answer")

# Whoever only looks says no password, least of all unencrypted.
_ONLY_LOOK: Final = {"sslmode": "disable", "gssencmode": "disable", "require_auth": "none"}
_UNSAID: Final = ("password", "passfile", "ssl", "gssencmode", "channel_binding", "require_auth")


class PatientConnection(psycopg.Connection[TupleRow]):
    """A connection whose every question is answered within `answer_s`, or which is closed."""

    answer_s: float | None = None

    def wait(self, gen: PQGen[Answer], interval: float = 0.1, timeout: float | None = None) -> Answer:
        """Wait for the server.

        Raises
        ------
        psycopg.OperationalError
            It did not answer in time.
        """
        if timeout is not None or self.answer_s is None:
            return super().wait(gen, interval, timeout)
        begun_s = time.monotonic()
        try:
            return super().wait(gen, interval, self.answer_s)
        except psycopg.OperationalError as exc:
            if time.monotonic() - begun_s < self.answer_s:
                raise
            self.pgconn.finish()  # what it may still say belongs to nobody
            raise psycopg.OperationalError(f"no answer within {self.answer_s:g} s") from exc

    @classmethod
    def opened(cls, answer_s: float, *arguments: Any, **parameters: Any) -> PatientConnection:
        """Connect; the address has a bound of its own for that."""
        connection = cls.connect(*arguments, **parameters)
        connection.answer_s = answer_s
        return connection


def is_coming(parameters: Mapping[str, Any]) -> bool:
    """Return whether a server is not there yet: nobody answers, or it starts, stops or recovers; nothing is proved to it."""
    known = {name: value for name, value in parameters.items() if not name.startswith(_UNSAID)}
    answer = pq.PGconn.ping(make_conninfo(**known, **_ONLY_LOOK).encode())
    return answer in (pq.Ping.REJECT, pq.Ping.NO_RESPONSE)
