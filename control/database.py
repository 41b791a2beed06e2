# SPDX-License-Identifier: Apache-2.0
"""The control database, SQLite or PostgreSQL: opening it, bringing it up to date, sessions.

Invariant: one writer at a time, and what a session wrote is on the disk when the session has ended (`control.engines` says
how). Nobody waits for it without end. Sessions are synchronous and are called from threads, never from the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from control.engines import ANSWER_S, WAIT_S, check_server, open_engine, parse_address, shown
from control.errors import DatabaseMismatch, DatabaseUnavailable
from control.failures import named_failure

__all__ = ["NEWEST_REVISION", "Database", "in_parts", "open_database", "write_in_thread"]

NEWEST_REVISION: Final = "0013"  # of control/migrations/versions; a test holds the two together
ASKED_AT_ONCE: Final = 500  # keys named in one query; databases bound them
MIGRATION_S: Final = 3600.0  # longest statement of a migration: a large table takes its time, once [s]

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Database:
    """The control database, open and of the newest form; make one with `open_database`.

    Parameters
    ----------
    url : str
        "sqlite:////var/lib/tirta/control.db" or "postgresql://tirta:PASSWORD@db.example/tirta".
    wait_s : float
        Wait for another's write, and for a connection. [s]
    answer_s : float
        Longest statement of a PostgreSQL; after a fifth more without a word it counts as gone. [s]
    """

    def __init__(self, url: str, wait_s: float = WAIT_S, answer_s: float = ANSWER_S) -> None:
        self._wait_s = wait_s
        self._url = parse_address(url)
        self._writer = threading.Lock()
        self._problem = ""
        self._closed = False
        self._engine = open_engine(self._url, wait_s, answer_s)
        reading = self._engine
        if self._engine.dialect.name == "postgresql":
            reading = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._write = sessionmaker(self._engine.execution_options(tirta_write=True), expire_on_commit=False)
        self._read = sessionmaker(reading, expire_on_commit=False, autoflush=False)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Give a session that may write: committed at the end, rolled back on an error.

        Raises
        ------
        DatabaseUnavailable
            The database is locked, full or gone. Nothing of the session was kept; only where it went while committing can
            it have been kept all the same, and whoever asks again must find that (an act by its key, a thing by its name).
        Invalid
            A value cannot be stored.
        """
        with self._left_closed(), self._named_errors(), self._turn(), self._write.begin() as session:
            yield session

    @contextmanager
    def reader(self) -> Iterator[Session]:
        """Give a session that only reads: it sees one state throughout and waits for no writer."""
        self._check_open()
        with self._left_closed(), self._named_errors(), self._read() as session:
            try:
                yield session
            finally:
                session.rollback()

    @property
    def problem(self) -> str:
        """Why it did not answer when it was last asked, or has failed since; empty where it does."""
        return self._problem

    def ask(self) -> str:
        """Ask it something small, and return the `problem` found, which ends here alone."""
        try:
            with self.reader() as session:
                session.execute(text("SELECT 1"))
        except (DatabaseUnavailable, DatabaseMismatch) as exc:
            self._problem = str(exc)
        else:
            self._problem = ""
        return self._problem

    def migrate(self) -> None:
        """Bring the tables to the newest form; does nothing when they have it."""
        with self._named_errors(), self._engine.begin() as connection:
            check_server(connection)
            if _revision(connection) == NEWEST_REVISION:
                return
        patient = open_engine(self._url, self._wait_s, MIGRATION_S)
        try:
            with self._named_errors(), patient.execution_options(tirta_write=True).begin() as connection:
                revision = _revision(connection)
                if revision != NEWEST_REVISION:  # or another did it meanwhile
                    _upgrade(connection, revision)
        finally:
            patient.dispose()
        log.info("control database brought to form %s", NEWEST_REVISION, extra={"action": "database_migrated"})

    def close(self) -> None:
        """Close every connection, after the write that is under way; from then on nothing is read or written.

        One that is still read from is closed by its reader, at the end.
        """
        waited = self._writer.acquire(timeout=self._wait_s)
        self._closed = True
        self._engine.pool.dispose()
        if waited:
            self._writer.release()

    @contextmanager
    def _left_closed(self) -> Iterator[None]:
        """Close what a session gave back to the pool after that was emptied for good."""
        try:
            yield
        finally:
            if self._closed:
                self._engine.pool.dispose()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for this process's other writers, so that one connection and not each of them waits at the database."""
        if not self._writer.acquire(timeout=self._wait_s):
            raise DatabaseUnavailable(f"the control database is busy: another write has not ended within {self._wait_s:g} s")
        try:
            self._check_open()
            yield
        finally:
            self._writer.release()

    def _check_open(self) -> None:
        if self._closed:
            raise DatabaseUnavailable("the control database is closed: Tirta is ending")

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as exc:
            named = named_failure(exc, shown(self._url))
            if named is None:
                raise
            if isinstance(named, DatabaseUnavailable):
                self._problem = str(named)
            raise named from exc


def open_database(url: str) -> Database:
    """Open the control database, creating it or bringing it to the newest form first.

    Raises
    ------
    DatabaseMismatch
        The address is none, or the file was written by a newer Tirta.
    DatabaseUnavailable
        It cannot be opened: folder, rights, lock.
    """
    database = Database(url)
    try:
        database.migrate()
    except BaseException:
        database.close()
        raise
    return database


async def write_in_thread(database: Database, work: Callable[[Session], Answer]) -> Answer:
    """Do work that writes in a thread, and return what it returns once that is on the disk."""

    def run() -> Answer:
        with database.session() as session:
            return work(session)

    # Shielded: a commit that is under way is waited for, so that what it did is told.
    return await asyncio.shield(asyncio.to_thread(run))


def in_parts(keys: Iterable[str]) -> Iterator[list[str]]:
    """Give keys in parts that one query may name."""
    left = iter(keys)
    while part := list(islice(left, ASKED_AT_ONCE)):
        yield part


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _upgrade(connection: Connection, revision: str | None) -> None:
    # Imported here alone: a start with the newest form does not pay for it.
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    with as_file(files("control").joinpath("migrations")) as folder:
        config = Config()
        config.set_main_option("script_location", str(Path(folder)).replace("%", "%%"))
        script = ScriptDirectory.from_config(config)

        def steps(found: Any, _context: object) -> Any:
            return script._upgrade_revs("head", found)

        with EnvironmentContext(config, script, fn=steps, destination_rev="head") as environment:
            environment.configure(connection=connection, render_as_batch=True)
            try:
                environment.run_migrations()
            except CommandError as exc:
                raise DatabaseMismatch(f"the control database has form {revision!r}, unknown to this version") from exc
