# SPDX-License-Identifier: Apache-2.0
"""A real PostgreSQL 15 on a free port of loopback, in a folder of its own, with a password for every connection.

Found on PATH or where Debian keeps it. It refuses to run as root, so tests that do run it as `postgres` or `nobody`. One
server and one database in it, emptied before each test, serve a whole session. It is started and stopped by its process
id; a test that kills one starts its own.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from control.database import NEWEST_REVISION, open_database
from tests.servers.mosquitto import free_port

__all__ = ["SORTS", "Postgres", "empty_database", "postgres_programs", "postgres_server"]

SORTS = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql))  # of control databases, for parametrising
_DEBIAN = "/usr/lib/postgresql/15/bin"
_CLEAN = """
SET session_replication_role = replica;  -- no trigger, no foreign key
DO $$ DECLARE each text; BEGIN
  FOR each IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
    EXECUTE format('DELETE FROM %I', each);
  END LOOP;
END $$;
SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S';
"""
_NEWEST = f"UPDATE alembic_version SET version_num = '{NEWEST_REVISION}'"  # a test may have made it another's
_START_S = 60.0  # until it answers; after a kill it reads its log first [s]


def postgres_programs() -> Path:
    """Find the folder of PostgreSQL's programs, or skip the test (under CI=true: fail it)."""
    for path in (_DEBIAN, os.environ.get("PATH", "")):
        found = shutil.which("initdb", path=path)
        if found is not None and (programs := Path(found).resolve().parent).joinpath("postgres").exists():
            return programs
    reason = "PostgreSQL is not installed: apt-get install postgresql"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Postgres:
    """One server in a folder of its own; a context manager.

    Parameters
    ----------
    durable : bool
        Whether it waits for the disk, as it must where it is going to be killed.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._programs = postgres_programs()
        # Not in the test's own folder: only who runs the tests may enter that.
        self._folder = Path(tempfile.mkdtemp(prefix="tirta-pg-"))
        self._durable = durable
        self._made = 0
        self._shared: str | None = None
        self.user, self.password = "tirta", secrets.token_urlsafe(16)
        self.host, self.port = "127.0.0.1", free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Postgres:
        try:
            self._initialise()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            if self.process is None or self.process.poll() is not None:
                # After a kill it may refuse for a moment: a process of the one before still looks after its clients.
                self.process = self._spawn()
            try:
                self.admin().close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        pytest.fail(f"PostgreSQL did not start: {(self._folder / 'log').read_text()[-1000:]}")

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop this very process, and wait; SIGKILL is a crash."""
        if self.process is not None:
            self.process.send_signal(number)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(20)
            self.process = None

    def admin(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """Connect as who may do everything; each statement stands for itself."""
        return psycopg.connect(self.url(database), autocommit=True, connect_timeout=5)

    def url(self, database: str, *, password: str | None = None) -> str:
        """Return the address of a database."""
        return f"postgresql://{self.user}:{password or self.password}@{self.host}:{self.port}/{database}"

    def make_database(self, form: str = "ENCODING 'UTF8' LOCALE 'C'") -> str:
        """Make an empty database and return its address."""
        self._made += 1
        name = f"test_{self._made}"
        self._tell(f"CREATE DATABASE {name} TEMPLATE template0 {form}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Take a database away, whoever still uses it."""
        self._tell(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def cleaned_database(self) -> str:
        """Return the address of the one database of the newest form that tests share, with nothing in it."""
        if self._shared is None:
            self._shared = self.make_database()
            open_database(self._shared).close()
        else:
            # A copy of a template takes ten times as long.
            self._tell(_CLEAN + _NEWEST, database=self._shared.rpartition("/")[2])
        return self._shared

    def _tell(self, statements: str, database: str = "postgres") -> None:
        with self.admin(database) as connection:
            connection.execute(statements.encode())

    def _initialise(self) -> None:
        secret = self._folder / "password"
        secret.write_text(self.password)
        for path in (self._folder, secret):
            if (owner := _owner()) is not None:
                os.chown(path, owner.pw_uid, owner.pw_gid)
        command = ["initdb", "-D", self._data, "-U", self.user, "--auth=scram-sha-256", f"--pwfile={secret}"]
        command += ["--encoding=UTF8", "--locale=C", *([] if self._durable else ["--no-sync"])]
        made = subprocess.run([self._programs / command[0], *command[1:]], capture_output=True, **self._identity, check=False)
        if made.returncode:
            pytest.fail(f"initdb: {made.stderr.decode()[-1000:]}")

    def _spawn(self) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": self.host,
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "on" if self._durable else "off",
            "shared_buffers": "32MB",
            "max_connections": 100,
            "max_wal_size": "256MB",
            "autovacuum": "on" if self._durable else "off",
        }
        command = [str(self._programs / "postgres"), "-D", self._data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self._identity)

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    @property
    def _identity(self) -> dict[str, object]:
        owner = _owner()
        if owner is None:
            return {"cwd": self._folder}
        return {"cwd": self._folder, "user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _owner() -> pwd.struct_passwd | None:
    """Return who runs the server: somebody else where the tests run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """Start a server for the session, and stop it after."""
    with Postgres() as server:
        yield server


@pytest.fixture
def empty_database(postgres_server: Postgres) -> Iterator[str]:
    """Return the address of a database with not even tables in it."""
    url = postgres_server.make_database()
    yield url
    postgres_server.drop_database(url)
