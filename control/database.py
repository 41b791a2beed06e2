# SPDX-License-Identifier: Apache-2.0
"""The control database: opening it, bringing it up to date, sessions.

Invariant: one writer at a time, and what a session wrote is on the disk when the session has ended (SQLite in WAL mode
with synchronous=FULL). Sessions are synchronous and are called from threads, never from the event loop.
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

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from control.errors import DatabaseMismatch, DatabaseUnavailable

__all__ = ["NEWEST_REVISION", "Database", "in_parts", "open_database", "write_in_thread"]

NEWEST_REVISION: Final = "0003"  # of control/migrations/versions; a test holds the two together
BUSY_TIMEOUT_MS: Final = 10_000  # wait for another process's write [ms]
POOL_SIZE: Final = 8  # connections kept
POOL_OVERFLOW: Final = 24  # and opened beside them at most
ASKED_AT_ONCE: Final = 500  # keys named in one query; databases bound them
POOL_TIMEOUT_S: Final = 10  # wait for a connection [s]

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Database:
    """The control database, open and of the newest form; make one with `open_database`.

    Parameters
    ----------
    url : str
        "sqlite:////var/lib/tirta/control.db" or another address of SQLAlchemy's.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError as exc:
            raise DatabaseMismatch(f"{url!r} is no database address; use sqlite:////folder/control.db") from exc
        self._sqlite = parsed.get_backend_name() == "sqlite"
        self._writer = threading.Lock()
        self._engine = create_engine(parsed, pool_size=POOL_SIZE, max_overflow=POOL_OVERFLOW, pool_timeout=POOL_TIMEOUT_S)
        if self._sqlite:
            _prepare_sqlite(self._engine)
        self._write = sessionmaker(self._engine.execution_options(tirta_write=True), expire_on_commit=False)
        self._read = sessionmaker(self._engine, expire_on_commit=False, autoflush=False)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Give a session that may write: committed at the end, rolled back on an error.

        Raises
        ------
        DatabaseUnavailable
            The database is locked, full or gone; nothing of the session was kept.
        """
        with self._writer, _named_errors(), self._write.begin() as session:
            yield session

    @contextmanager
    def reader(self) -> Iterator[Session]:
        """Give a session that only reads: it sees one state throughout and waits for no writer."""
        with _named_errors(), self._read() as session:
            try:
                yield session
            finally:
                session.rollback()

    def migrate(self) -> None:
        """Bring the tables to the newest form; does nothing when they have it."""
        with _named_errors(), self._engine.execution_options(tirta_write=True).begin() as connection:
            revision = _revision(connection)
            if revision == NEWEST_REVISION:
                return
            _upgrade(connection, revision)
        log.info("control database brought to form %s", NEWEST_REVISION, extra={"action": "database_migrated"})

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


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


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        # Transactions are begun below; the driver's own beginning is late and knows no IMMEDIATE.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # A reader that turns writer halfway may find its view overtaken and fail: writers say so at the start.
        write = connection.get_execution_options().get("tirta_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except OperationalError as exc:
        raise DatabaseUnavailable(f"the control database did not answer: {exc.orig}") from exc
    except DatabaseError as exc:
        if "not a database" in str(exc.orig):
            raise DatabaseMismatch(f"the control database cannot be read: {exc.orig}") from exc
        raise
    except DBAPIError as exc:
        if exc.connection_invalidated:
            raise DatabaseUnavailable(f"the control database did not answer: {exc.orig}") from exc
        raise


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
