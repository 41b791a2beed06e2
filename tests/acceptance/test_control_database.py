# SPDX-License-Identifier: Apache-2.0
"""Tirta on a real PostgreSQL that is killed while it is in use, and comes back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from control.claim import KEY
from tests.servers.bench import BenchDevice, add_device
from tests.servers.mosquitto import free_port
from tests.servers.postgres import Postgres
from tests.servers.tirta import STOP_S, Tirta, eventually, run_tirta, series

pytestmark = pytest.mark.postgresql


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A server of its own, which waits for the disk: the test kills it."""
    with Postgres(durable=True) as running:
        yield running


class Writer(threading.Thread):
    """Creates sites, one after the other, and keeps what was answered until it is stopped."""

    def __init__(self, tirta: Tirta) -> None:
        super().__init__()
        self.created: list[str] = []
        self.answers: set[int] = set()
        self._stop_now = threading.Event()
        self._http = httpx2.Client(base_url=tirta.ready["http"], headers=bearer(tirta), timeout=60)

    def run(self) -> None:
        number = 0
        with self._http as http:
            while not self._stop_now.is_set():
                number += 1
                site = {"site": f"s-{number}", "title": "Site", "timezone": "Asia/Makassar"}
                status = http.post("/api/v1/sites", json=site).status_code
                self.answers.add(status)
                if status == 201:
                    self.created.append(site["site"])
                self._stop_now.wait(0.05)  # within what one caller may ask

    def stop(self) -> None:
        """Let it end after the request under way."""
        self._stop_now.set()
        self.join()


def bearer(tirta: Tirta) -> dict[str, str]:
    return {"authorization": f"Bearer {tirta.ready['token']}"}


@pytest.mark.slow
def test_control_database_killed_and_back_loses_nothing_and_tirta_goes_on_by_itself(tmp_path: Path, server: Postgres) -> None:
    environment = {"TIRTA_DATABASE": server.make_database()}
    with Tirta(tmp_path, environment=environment) as tirta, httpx2.Client(base_url=tirta.ready["http"], timeout=60) as http:
        with tirta.client() as client:
            login = add_device(client, "valve")
        with BenchDevice(tirta, login) as device:
            device.listen()
            device.publish({"boot": 1, "seq": 0, "flow": 1.0})
            writer = Writer(tirta)
            writer.start()
            eventually(lambda: len(writer.created) >= 5, "sites are created")
            server.stop(signal.SIGKILL)
            eventually(lambda: 503 in writer.answers, "the writer is told")
            writer.stop()

            answer = http.get("/api/v1/sites", headers=bearer(tirta))
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "5"
            assert "control database cannot answer" in answer.json()["detail"]
            eventually(lambda: http.get("/readyz").status_code == 503, "it is not ready")
            assert http.get("/healthz").status_code == 200
            told = tirta.run("doctor")
            assert told.returncode == 1
            assert "BAD  database   the control database postgresql://" in told.stdout
            assert server.password not in told.stdout + told.stderr
            for seq in range(1, 6):
                device.publish({"boot": 1, "seq": seq, "flow": 1.0})
            eventually(lambda: {"boot": 1, "seq": 5} in device.said("stored"), "measurements are taken meanwhile")

            server.start()
            eventually(lambda: http.get("/api/v1/sites", headers=bearer(tirta)).status_code == 200, "it answers again")
            eventually(lambda: http.get("/readyz").status_code == 200, "it is ready again", timeout_s=120)

        assert writer.answers == {201, 503}
        for name in writer.created:
            assert http.get(f"/api/v1/sites/{name}", headers=bearer(tirta)).status_code == 200, name
        assert http.post(
            "/api/v1/sites", headers=bearer(tirta), json={"site": "after", "title": "After", "timezone": "Asia/Makassar"}
        ).is_success
        with tirta.client() as client:
            eventually(lambda: len(series(client, "bench:valve:1", "flow")) == 6, "every measurement is stored")
        verdict = tirta.run("audit", "verify")
        assert verdict.returncode == 0, verdict.stdout + verdict.stderr
        assert server.password not in tirta.err + tirta.out


def test_up_on_the_control_database_of_another_is_refused_and_leaves_it_alone(tmp_path: Path, server: Postgres) -> None:
    environment = {"TIRTA_DATABASE": server.make_database()}
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with Tirta(tmp_path / "first", environment=environment) as first:
        second = Tirta(tmp_path / "second", environment=environment)
        assert second.spawn().wait(STOP_S) == 1
        [line] = second.err.strip().splitlines()
        assert "another Tirta (from 127.0.0.1, since " in line
        assert server.password not in line
        for tirta in (first, second):  # commands write beside the service, from wherever
            made = tirta.run("token", "create", tirta.folder.name)
            assert made.returncode == 0, made.stderr
        with first.client() as client:
            assert list(client.sites.list()) == []

        assert first.process is not None
        with server.admin("test_1") as other, server.admin("test_1") as admin:
            taking = threading.Thread(target=other.execute, args=(f"SELECT pg_advisory_lock({KEY['kind']}, {KEY['number']})",))
            taking.start()
            waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            eventually(lambda: admin.execute(waits).fetchone() == (1,), "another stands in line")
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tirta, the service'"
            )
            taking.join()
            assert first.process.wait(STOP_S) == 1
        assert "another Tirta" in first.err.strip().splitlines()[-1]
        assert not first.ready_file.exists()


def test_up_before_its_control_database_waits_for_it(tmp_path: Path, server: Postgres) -> None:
    url = server.make_database()
    server.stop()
    tirta = Tirta(tmp_path, environment={"TIRTA_DATABASE": url})
    tirta.process = tirta.spawn()
    try:
        eventually(lambda: "waiting up to 60 s" in tirta.err, "it says that it waits")
        server.start()
        eventually(tirta.ready_file.exists, "it is ready")
        assert tirta.stop() == 0
        assert tirta.err.count("waiting up to") == 1
    finally:
        tirta.clean_up()


def test_up_told_to_stop_while_it_waits_for_its_control_database_ends_cleanly(tmp_path: Path) -> None:
    tirta = Tirta(tmp_path, environment={"TIRTA_DATABASE": f"postgresql://tirta:geheim@127.0.0.1:{free_port()}/tirta"})
    tirta.process = tirta.spawn()
    try:
        eventually(lambda: "waiting up to 60 s" in tirta.err, "it says that it waits")
        assert tirta.stop() == 0
        assert "geheim" not in tirta.err
    finally:
        tirta.clean_up()


def test_up_with_a_control_database_that_lets_it_not_in_says_so_in_one_line(tmp_path: Path, server: Postgres) -> None:
    for url, said in (
        (server.url("postgres", password="geheim"), "password authentication failed"),
        (server.url("nowhere"), "does not exist"),
    ):
        ended = run_tirta(
            "up",
            "--data",
            tmp_path / "data",
            "--http",
            "127.0.0.1:0",
            "--mqtt",
            "127.0.0.1:0",
            environment={"TIRTA_DATABASE": url},
        )
        assert ended.returncode == 1
        [line] = ended.stderr.strip().splitlines()
        assert said in line
        assert "geheim" not in line
        assert server.password not in line
