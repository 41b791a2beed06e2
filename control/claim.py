# SPDX-License-Identifier: Apache-2.0
"""The claim on a control database: one service at a time plans on it, wherever its data folder lies.

              held by                                              ends with it
    SQLite    a lock on the file `<database>.lock` beside it       the process
    PostgreSQL an advisory lock of a session of its own            the connection; a machine that died: within `DEAD_S`

Invariant: who has taken it is alone, until its connection is lost. Then it is taken again at the next look; where another was
faster, that one is the service now, and this one has to end. Commands take no claim: they write beside the service.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol, TextIO

from sqlalchemy import URL, Connection, RowMapping, text
from sqlalchemy.exc import SQLAlchemyError

from control.engines import open_engine, parse_address, shown
from control.errors import DatabaseInUse, DatabaseUnavailable
from control.failures import named_failure

__all__ = ["Claim", "open_claim"]

HANDOVER_S: Final = 3.0  # a predecessor that has just ended may still have it for a moment [s]
POLL_S: Final = 0.1  # between looks meanwhile [s]
ANSWER_S: Final = 5.0  # longest statement [s]
KEEPALIVE_S: Final = (10, 5, 4)  # the server's own: idle, between probes; and how many probes [s, s, 1]
DEAD_S: Final = KEEPALIVE_S[0] + KEEPALIVE_S[1] * KEEPALIVE_S[2]  # until the server gives up a machine that died [s]
ENDING_MS: Final = 3000  # for the server to end a session of ours that we have lost [ms]
KEY: Final = {"kind": 0x74697274, "number": 1}  # "tirt"; of two numbers, so never the writers' key, which is one

log = logging.getLogger(__name__)

_PREPARE: Final = (
    "SET application_name = 'tirta, the service'; SET idle_session_timeout = 0;"
    f" SET tcp_keepalives_idle = {KEEPALIVE_S[0]}; SET tcp_keepalives_interval = {KEEPALIVE_S[1]};"
    f" SET tcp_keepalives_count = {KEEPALIVE_S[2]}; SET tcp_user_timeout = '{DEAD_S}s'"
)
_SELF: Final = text("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
_END: Final = text(
    "SELECT pg_terminate_backend(pid, :ending_ms) FROM pg_stat_activity WHERE pid = :pid AND backend_start = :backend_start"
)
_TAKE: Final = text("SELECT pg_try_advisory_lock(:kind, :number)")
_HOLDER: Final = text(
    "SELECT host(client_addr), backend_start FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory'"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND classid = :kind AND objid = :number AND objsubid = 2 AND granted"
)


class Claim(Protocol):
    """The right to be the service on a control database; its methods block and are called in threads, one at a time."""

    def take(self) -> None:
        """Take it.

        Raises
        ------
        DatabaseInUse
            Another service has it.
        DatabaseUnavailable, DatabaseMismatch
            The database could not be asked.
        """

    def keep(self) -> None:
        """See that it is still ours; where the last look found it lost, take it again. Raises what `take` does."""

    def release(self) -> None:
        """Give it back."""


def open_claim(address: str) -> Claim:
    """Return the claim on a control database, not taken yet.

    Raises
    ------
    DatabaseMismatch
        The address is none.
    """
    url = parse_address(address)
    return _FileClaim(url) if url.get_backend_name() == "sqlite" else _ServerClaim(url)


class _FileClaim:
    def __init__(self, url: URL) -> None:
        # Two names of one file are one claim. A database in memory is nobody else's.
        self._path = Path(url.database).resolve() if url.database and url.database != ":memory:" else None
        self._lock: TextIO | None = None

    def take(self) -> None:
        if self._path is None:
            return
        try:
            lock = os.fdopen(os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, 0o600), "w")
        except OSError as exc:
            raise DatabaseUnavailable(f"the control database {self._path} cannot be claimed: {exc.strerror}") from exc
        if not _in_time(lambda: _locked(lock)):
            lock.close()
            raise _in_use(str(self._path))
        self._lock = lock

    def keep(self) -> None:
        """Nobody takes the lock on a file away."""

    def release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class _ServerClaim:
    def __init__(self, url: URL) -> None:
        self._where = shown(url)
        self._engine = open_engine(url, answer_s=ANSWER_S)
        self._connection: Connection | None = None
        self._backend: RowMapping | None = None  # the session that has it; the server may keep one that we have lost

    def take(self) -> None:
        with self._named_failures():
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            try:
                self._take(connection)
            except BaseException:
                _cut(connection)
                raise
        self._connection = connection

    def keep(self) -> None:
        if self._connection is not None:
            try:
                self._connection.execute(text("SELECT 1"))
            except SQLAlchemyError as exc:
                _cut(self._connection)
                self._connection = None
                raise DatabaseUnavailable("the claim on the control database is lost, and asked for again") from exc
            return
        self.take()
        log.info("the claim on the control database was lost, and is had again", extra={"action": "claim_taken_again"})

    def release(self) -> None:
        if self._connection is not None:
            _cut(self._connection)
            self._connection = None
        self._engine.dispose()

    def _take(self, connection: Connection) -> None:
        connection.exec_driver_sql(_PREPARE)
        if self._backend is not None:
            connection.execute(_END, {**self._backend, "ending_ms": ENDING_MS})
        if not _in_time(lambda: bool(connection.execute(_TAKE, KEY).scalar_one())):
            holder = connection.execute(_HOLDER, KEY).first()
            raise _in_use(self._where, *(holder or ()))
        self._backend = connection.execute(_SELF).mappings().one()

    @contextmanager
    def _named_failures(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as exc:
            named = named_failure(exc, self._where)
            if named is None:
                raise
            raise named from exc


def _in_time(taken: Callable[[], bool]) -> bool:
    until = time.monotonic() + HANDOVER_S
    while not taken():
        if time.monotonic() > until:
            return False
        time.sleep(POLL_S)
    return True


def _locked(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _cut(connection: Connection) -> None:
    # Given back to the pool it would stay open, and the lock with it.
    connection.invalidate()
    connection.close()


def _in_use(where: str, host: str | None = None, since: datetime | None = None) -> DatabaseInUse:
    told = [f"from {host}"] if host else []
    told += [f"since {since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"] if since else []
    which = f" ({', '.join(told)})" if told else ""
    return DatabaseInUse(
        f"another Tirta{which} runs on the control database {where}; stop it, or give this one a database of its own"
    )
