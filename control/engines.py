# SPDX-License-Identifier: Apache-2.0
"""How each sort of database is reached: its address, its connections, how its transactions begin.

Invariant, the same for both: one writer at a time, also among processes, says so at its beginning and waits for a bounded
time; a reader sees one state throughout and waits for nobody; what was committed is on the disk. An address is shown
without its password.

              writer                               reader                       on the disk
    SQLite    BEGIN IMMEDIATE                      BEGIN, WAL                   synchronous=FULL
    PostgreSQL READ COMMITTED under one advisory   REPEATABLE READ, READ ONLY   synchronous_commit, never off
               lock of the transaction
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from control.errors import DatabaseMismatch

__all__ = ["check_server", "may_come", "open_engine", "parse_address", "shown"]

WAIT_S: Final = 10  # for another's write, and for a connection [s]
POOL_SIZE: Final = 8  # connections kept
POOL_OVERFLOW: Final = 24  # and opened beside them at most
CONNECT_S: Final = 5  # until a server that is silent counts as gone [s]
ANSWER_S: Final = 30.0  # longest statement of a PostgreSQL [s]
SILENCE: Final = 1.2  # times that without a word, and the server counts as gone
ABANDONED_S: Final = 60  # a transaction in which nothing happens for so long is ended by the server [s]
OLDEST_SERVER: Final = 15  # PostgreSQL's major version
WRITER_LOCK: Final = 0x7469727461  # PostgreSQL's advisory lock: "tirta"

_POSTGRESQL: Final = "postgresql+psycopg"
_FORMS: Final = "sqlite:////folder/control.db or postgresql://USER:PASSWORD@HOST/DATABASE"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SETTINGS: Final = (
    f"SET idle_in_transaction_session_timeout = '{ABANDONED_S}s';"
    " SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)


def parse_address(text: str) -> URL:
    """Return the address of a control database.

    To a PostgreSQL on another host the connection is encrypted and its certificate verified, unless the address says
    otherwise (`sslmode`).

    Raises
    ------
    DatabaseMismatch
        It is none; what it says is not told, for it may hold a password.
    """
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError) as exc:
        raise DatabaseMismatch(f"the setting database is no address of a database; use {_FORMS}") from exc
    if backend == "sqlite":
        return url
    if url.drivername not in ("postgresql", "postgres", _POSTGRESQL):
        raise DatabaseMismatch(f"the setting database names {url.drivername[:40]!r}; use {_FORMS}")
    if not url.database:
        raise DatabaseMismatch(f"the setting database names no database; use {_FORMS}")
    url = url.set(drivername=_POSTGRESQL)
    if "sslmode" not in url.query and _is_remote(url):
        url = url.update_query_dict({"sslmode": "verify-full"})
    if url.query.get("sslmode") == "verify-full" and "sslrootcert" not in url.query:
        url = url.update_query_dict({"sslrootcert": "system"})
    return url


def shown(url: URL) -> str:
    """Return an address for people: without its password, and without what else follows."""
    named = URL.create(url.get_backend_name(), url.username, host=url.host, port=url.port, database=url.database)
    return named.render_as_string()


def open_engine(url: URL, wait_s: float = WAIT_S, answer_s: float = ANSWER_S) -> Engine:
    """Return the engine of an address; it connects when it is first used.

    Connections of which the option `tirta_write` is true begin as writers.

    Parameters
    ----------
    wait_s : float
        Wait for another's write, and for a connection. [s]
    answer_s : float
        Longest statement of a PostgreSQL. [s]
    """
    pool: dict[str, Any] = {"pool_size": POOL_SIZE, "max_overflow": POOL_OVERFLOW, "pool_timeout": wait_s}
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, **pool)
        _prepare_sqlite(engine, round(wait_s * 1000))
    else:
        # Asked before each use whether it still stands: a server that was started again costs nobody an error.
        engine = create_engine(url, **pool, pool_pre_ping=True, connect_args=_connect_arguments(url))
        _prepare_postgresql(engine, round(wait_s * 1000), answer_s)
    return engine


def may_come(url: URL) -> bool:
    """Return whether a server that did not let us in may do so soon: it is not there, or it starts, stops or recovers.

    One that said no, to a password or for want of the database, has answered. A file is there or not.
    """
    if url.get_backend_name() == "sqlite":
        return False
    from control.patience import is_coming

    _, parameters = url.get_dialect()().create_connect_args(url)
    return is_coming({**_connect_arguments(url), **parameters})


def check_server(connection: Connection) -> None:
    """Pass if the server keeps what it is given as Tirta means it; on SQLite there is nothing to ask.

    Raises
    ------
    DatabaseMismatch
        It is too old, or keeps or orders text in another way.
    """
    if connection.dialect.name != "postgresql":
        return
    version, encoding, by_code_point = connection.exec_driver_sql(
        "SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding'),"
        " 'Z' < 'a' AND 'a-b' < 'aa' AND 'zz' < '~'"
    ).one()
    if version < OLDEST_SERVER:
        raise DatabaseMismatch(f"the control database is a PostgreSQL {version}; {OLDEST_SERVER} or newer is needed")
    if encoding != "UTF8" or not by_code_point:
        # Another order of letters differs from machine to machine, and changes under an index with the system's updates.
        raise DatabaseMismatch(
            "the control database keeps or orders text in a way of its own; make it with"
            " CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
        )


def _is_remote(url: URL) -> bool:
    host = url.query.get("host", url.host) or ""
    return not isinstance(host, str) or not (host == "" or host.startswith("/") or host in _LOOPBACK)


def _connect_arguments(url: URL) -> dict[str, Any]:
    wanted = {
        "application_name": "tirta",
        "connect_timeout": CONNECT_S,
        "keepalives_idle": 30,  # [s]
        "keepalives_interval": 5,  # [s]
        "keepalives_count": 3,
        "tcp_user_timeout": WAIT_S * 1000,  # [ms]
    }
    return {name: value for name, value in wanted.items() if name not in url.query}


def _prepare_postgresql(engine: Engine, wait_ms: int, answer_s: float) -> None:
    from control.patience import PatientConnection  # with it comes the driver, which SQLite does not pay for

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: object, _record: object, arguments: list[Any], parameters: dict[str, Any]) -> Any:
        return PatientConnection.opened(answer_s * SILENCE, *arguments, **parameters)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        try:
            connection.autocommit = True
            connection.execute(f"SET lock_timeout = {wait_ms}; SET statement_timeout = {round(answer_s * 1000)}; {_SETTINGS}")
            connection.autocommit = False
        except BaseException:
            connection.close()  # no pool knows it yet
            raise

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # Each later statement sees all that was committed before the lock was had: no writer's view is overtaken.
        if connection.get_execution_options().get("tirta_write", False):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")


def _prepare_sqlite(engine: Engine, wait_ms: int) -> None:
    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        # Transactions are begun below; the driver's own beginning is late and knows no IMMEDIATE.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout = {wait_ms}",
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
