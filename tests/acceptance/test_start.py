# SPDX-License-Identifier: Apache-2.0
"""Starting, refusing to start, stopping, and starting again: `tirta up` as its operator meets it."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from tests.servers.bench import BenchDevice, add_device
from tests.servers.mosquitto import Mosquitto, free_port
from tests.servers.tirta import COMMAND, Tirta, eventually, plain_environment, run_tirta, series
from tirta.client import Client
from tirta.errors import NotPermitted, ServiceUnavailable


def refused(url: str, token: str) -> bool:
    """Tell whether a token is no longer taken."""
    with Client(url, token) as client:
        try:
            client.session()
        except NotPermitted as answer:
            return answer.status == 401
    return False


def test_up_writes_a_private_ready_file_and_takes_it_away_at_the_end(tmp_path: Path) -> None:
    with Tirta(tmp_path) as tirta:
        assert stat.S_IMODE(tirta.ready_file.stat().st_mode) == 0o600
        assert tirta.ready.keys() == {"http", "mqtt", "token"}
        assert tirta.ready["http"].startswith("http://127.0.0.1:")
        assert tirta.ready["mqtt"].startswith("mqtt://127.0.0.1:")
        socket.create_connection(tirta.mqtt, 5).close()
        (line,) = [line for line in tirta.out.splitlines() if "Operator's token" in line]
        operator = line.split()[-1]
        assert not refused(tirta.ready["http"], operator)
        assert tirta.ready["token"] not in tirta.out
        assert tirta.stop() == 0
        assert not tirta.ready_file.exists()
        assert not (tirta.data / "ready.json").exists()
        for path in (tirta.data, *tirta.data.rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, f"{path} can be read by others"
        for path in tirta.data.rglob("*"):
            assert path.is_dir() or operator.encode() not in path.read_bytes(), f"{path} holds the operator's token"
        assert tirta.err == ""


def test_up_again_has_a_new_token_refuses_the_one_before_and_keeps_the_operators(tmp_path: Path) -> None:
    with Tirta(tmp_path) as tirta:
        before = tirta.ready["token"]
        operator = next(line for line in tirta.out.splitlines() if "Operator's token" in line).split()[-1]
        with tirta.client() as client, BenchDevice(tirta, add_device(client, "kept")) as device:
            device.publish({"boot": 1, "seq": 0, "soil_moisture": 0.25})
            eventually(lambda: series(client, "bench:kept:1", "soil_moisture"), "it is stored")
        host, port = tirta.ready["http"].removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 10) as reader:
            head = f"GET /api/v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {before}\r\n\r\n"
            reader.sendall(head.encode())
            assert reader.recv(100).startswith(b"HTTP/1.1 200")
            assert tirta.stop() == 0, "who follows the events does not hold it up"
        tirta.start()
        assert tirta.ready["token"] != before
        assert refused(tirta.ready["http"], before)
        assert not refused(tirta.ready["http"], operator)
        assert tirta.out.count("Operator's token") == 1
        with tirta.client() as client:
            assert client.zones.get("bench:kept:1").latest["soil_moisture"].value == pytest.approx(0.25)
            assert len(series(client, "bench:kept:1", "soil_moisture")) == 1


def test_up_after_kill_9_takes_over_the_broker_and_what_waits_there(tmp_path: Path) -> None:
    with Tirta(tmp_path) as tirta:
        with tirta.client() as client:
            login = add_device(client, "patient")
        with BenchDevice(tirta, login) as device:
            device.publish({"boot": 1, "seq": 0, "soil_moisture": 0.21})
            broker = tirta.broker
            tirta.kill()
            device.publish({"boot": 1, "seq": 1, "soil_moisture": 0.22})
            assert (tirta.data / "ready.json").exists(), "a killed Tirta cannot tidy up"
            assert "not running" in tirta.run("doctor").stdout
            tirta.start()
            assert tirta.broker == broker
            device.publish({"boot": 1, "seq": 2, "soil_moisture": 0.23})
            assert device.disconnects == 0
        with tirta.client() as client:
            found = eventually(
                lambda: (
                    len(series(client, "bench:patient:1", "soil_moisture")) >= 3
                    and series(client, "bench:patient:1", "soil_moisture")
                ),
                "all are stored",
            )
            assert [value for _, value in found] == [0.21, 0.22, 0.23]


def test_up_on_a_folder_in_use_is_refused_in_one_line_and_disturbs_nobody(tirta: Tirta) -> None:
    second = tirta.run("up", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0")
    assert second.returncode == 1
    assert second.stdout == ""
    (line,) = second.stderr.splitlines()
    assert str(tirta.data) in line
    assert "another Tirta" in line
    with tirta.client() as client:
        assert client.health().status == "ok"


def test_up_on_a_port_that_is_taken_says_so_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for option, other in (("--http", "--mqtt"), ("--mqtt", "--http")):
            folder = tmp_path / option.strip("-")
            ended = run_tirta("up", "--data", folder, option, f"127.0.0.1:{port}", other, "127.0.0.1:0")
            assert ended.returncode == 1, option
            (line,) = ended.stderr.splitlines()
            assert str(port) in line
            assert option in line, "it says how to choose another"


@pytest.mark.parametrize(("option", "address", "instead"), [("--http", "[::]", "--https"), ("--mqtt", "0.0.0.0", "--mqtts")])
def test_up_on_another_address_without_tls_is_refused(tmp_path: Path, option: str, address: str, instead: str) -> None:
    ended = run_tirta("up", "--data", tmp_path / "data", option, f"{address}:0")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert f"add {instead} HOST:PORT" in line
    assert not (tmp_path / "data").exists()


def test_up_on_another_address_with_behind_proxy_is_ready_and_reached_over_loopback(tmp_path: Path) -> None:
    with Tirta(tmp_path, "--http", "0.0.0.0:0", "--behind-proxy") as tirta:
        with tirta.client() as client:
            login = add_device(client, "outside")
        with BenchDevice(tirta, login) as device:
            assert device.connected
        assert tirta.process is not None
        tirta.process.send_signal(signal.SIGINT)  # Ctrl-C ends it as SIGTERM does
        assert tirta.process.wait(60) == 0
        assert tirta.broker is None


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"TIRTA_HTTP": "8080"}, "http"),
        ({"TIRTA_JOURNAL_MAX_MIB": "much"}, "journal_max_mib"),
        ({"TIRTA_STORES": '["influxdb"]'}, "TIRTA_INFLUX_URL"),
        ({"TIRTA_BROKER_URL": "http://127.0.0.1"}, "mqtt"),
        ({"TIRTA_CATALOGUE": "/no/such/file.toml"}, "/no/such/file.toml"),
        ({"TIRTA_DATABASE": "nonsense"}, "no address of a database"),  # not repeated: it may hold a password
    ],
)
def test_up_with_a_wrong_setting_names_it_in_one_line(tmp_path: Path, environment: dict[str, str], named: str) -> None:
    given = {"TIRTA_HTTP": "127.0.0.1:0", "TIRTA_MQTT": "127.0.0.1:0", **environment}
    ended = run_tirta("up", "--data", tmp_path / "data", environment=given)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert named in line


def test_a_broker_that_is_killed_starts_again_and_devices_come_back(tmp_path: Path) -> None:
    with Tirta(tmp_path, "--demo", "--speed", "60") as tirta:
        killed = tirta.broker
        assert killed is not None
        with tirta.client() as client, BenchDevice(tirta, add_device(client, "returner")) as device:
            os.kill(killed.pid, signal.SIGKILL)
            eventually(lambda: tirta.broker not in (None, killed), "another broker runs")
            eventually(lambda: device.disconnects and device.connected, "the bench's device is back")

            def stored() -> bool:
                # What a killed broker had in memory, its sessions too, is gone: a board without an outbox sends on.
                device.publish({"soil_moisture": 0.27})
                return bool(series(client, "bench:returner:1", "soil_moisture"))

            eventually(stored, "what it sends is stored")
            seen = len(tirta.oracle("pilot:garden", "acked"))
            eventually(lambda: len(tirta.oracle("pilot:garden", "acked")) > seen + 3, "the demo's devices go on", 30)
            eventually(lambda: client.health().status == "ok", "all is ready")
        assert tirta.stop() == 0


def test_an_outside_broker_takes_the_files_and_the_reload_command(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    with Mosquitto(tmp_path / "outside") as broker:
        assert broker.process is not None
        environment = {
            "TIRTA_BROKER_URL": f"mqtt://{broker.host}:{broker.port}",
            "TIRTA_BROKER_FOLDER": str(broker.files.folder),
            "TIRTA_BROKER_RELOAD": f"kill -HUP {broker.process.pid}",
        }
        with Tirta(tmp_path, environment=environment) as tirta:
            assert tirta.ready["mqtt"] == f"mqtt://{broker.host}:{broker.port}"
            assert tirta.broker is None
            with tirta.client() as client:
                login = add_device(client, "guest")
                with BenchDevice(tirta, login) as device:
                    device.publish({"soil_moisture": 0.26})
                    eventually(lambda: series(client, "bench:guest:1", "soil_moisture"), "it is stored")
                    client.devices.revoke("bench:guest")
                    eventually(lambda: device.disconnects, "who is revoked is put out")
                assert client.health().status == "ok"
                broker.stop(signal.SIGKILL)
                assert "broker" in eventually(lambda: _not_ready(client), "a broker that is gone is told")
            assert tirta.stop() == 0


def _not_ready(client: Client) -> str:
    try:
        client.health()
    except ServiceUnavailable as answer:
        return str(answer)
    return ""


def test_simulate_creates_its_devices_over_the_api_and_they_measure(tmp_path: Path) -> None:
    with Tirta(tmp_path, "--speed", "60") as tirta:
        command = [*COMMAND, "simulate", "demo", "--broker", tirta.ready["mqtt"], "--api", tirta.ready["http"]]
        command += ["--token-file", str(tirta.ready_file), "--state", str(tmp_path / "state")]
        for _ in range(2):  # the second finds its devices there, and their passwords in its folder
            with (tmp_path / "simulate").open("ab") as log, tirta.client() as client:
                virtual = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=plain_environment())
                try:
                    eventually(lambda: _online(client) == {"pilot:garden", "pilot:pond"}, "both are online")
                    measured = _measured(client)
                    eventually(lambda n=measured: _measured(client) > n + 2, "the bed is measured")
                finally:
                    virtual.terminate()
                    code = virtual.wait(60)
                assert code == 0
                eventually(lambda: not _online(client), "both said goodbye")


def _online(client: Client) -> set[str]:
    return {device.id for device in client.devices.list(online=True)}


def _measured(client: Client) -> int:
    return len(series(client, "pilot:garden:1", "soil_moisture"))


def test_simulate_without_a_way_to_credentials_says_what_to_give(tmp_path: Path) -> None:
    port = free_port()
    for more in ((), ("--api", "http://127.0.0.1:1"), ("--credentials", tmp_path / "none.json")):
        ended = run_tirta("simulate", "demo", "--broker", f"mqtt://127.0.0.1:{port}", *more)
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert "--" in line or "none.json" in line


def test_init_writes_secrets_once(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert run_tirta("init", "--env", path).returncode == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first = path.read_text("utf-8")
    assert run_tirta("init", "--env", path).returncode == 0
    assert path.read_text("utf-8") == first
    secrets = [line.partition("=")[2] for line in first.splitlines() if "PASSWORD" in line or "TOKEN" in line]
    assert len(set(secrets)) == len(secrets) >= 3
    assert all(len(secret) >= 24 for secret in secrets)


def test_demo_survives_a_change_of_speed(tmp_path: Path) -> None:
    with Tirta(tmp_path, "--demo", "--speed", "600") as tirta:
        first = tirta.devices
        assert first is not None
        before = json.loads((tirta.data / "clock.json").read_text("utf-8"))
        tirta.kill()
        tirta.arguments = ("--demo", "--speed", "60")
        tirta.start()
        assert tirta.devices not in (None, first), "devices keep the platform's clock: they start anew with it"
        with tirta.client() as client:
            eventually(lambda: client.devices.get("pilot:garden").online, "they are online")
            assert client.clock().speed == 60
        assert json.loads((tirta.data / "clock.json").read_text("utf-8")) != before
        assert tirta.stop() == 0
