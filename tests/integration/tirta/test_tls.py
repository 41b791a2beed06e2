# SPDX-License-Identifier: Apache-2.0
"""A whole Tirta with TLS as others on the network meet it: verified, renewed while in use, known by certificates, examined."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
import pytest
from cryptography import x509
from paho.mqtt.enums import CallbackAPIVersion

from gateway.broker_url import tls_context
from tests.servers.certificates import Signer
from tests.servers.mosquitto import free_port
from tests.servers.tirta import Tirta, eventually, run_tirta
from tirta.client import Client
from tirta.doctor_clock import ask_time, examine_time_service
from tirta.errors import ServiceAnswer

DEVICE = "taman-kota:bedeng-1"


class Network:
    """A Tirta with listeners for the network, on ports of loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in ("HTTPS", "MQTTS", "MQTTS_CERTIFICATES")}
        self.environment = {f"TIRTA_{name}": f"127.0.0.1:{port}" for name, port in self.ports.items()}
        self.environment["TIRTA_TLS_NAMES"] = json.dumps(["localhost"])
        made = run_tirta("init", "--tls", "--data", folder / "data", environment=self.environment)
        assert made.returncode == 0, made.stderr
        self.tirta = Tirta(folder, environment=self.environment)
        self.ca = folder / "ca.pem"
        given = self.tirta.run("ca", "export", "--out", str(self.ca))
        assert given.returncode == 0, given.stderr

    def trust(self) -> ssl.SSLContext:
        context = tls_context(self.ca)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    def serial(self, name: str) -> int:
        """Return the number of the certificate that a listener shows."""
        plain = socket.create_connection(("127.0.0.1", self.ports[name]), 20)
        with plain, self.trust().wrap_socket(plain, server_hostname="localhost") as secure:
            shown = secure.getpeercert(binary_form=True)
        assert shown is not None
        return x509.load_der_x509_certificate(shown).serial_number


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    network = Network(tmp_path_factory.mktemp("network"))
    with network.tirta:
        yield network


class Board:
    """A device on paho-mqtt, as a partner would write one."""

    def __init__(self, network: Network, context: ssl.SSLContext, name: str, password: str | None = None) -> None:
        self.said: list[str] = []
        self.gone = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv311)
        self.client.tls_set_context(context)
        if password:
            self.client.username_pw_set(name, password)
        self.client.on_connect = lambda client, data, flags, code, properties: self.said.append(str(code))
        self.client.on_disconnect = lambda client, data, flags, code, properties: self.gone.set()
        self.client.connect("localhost", network.ports["MQTTS" if password else "MQTTS_CERTIFICATES"], keepalive=60)
        self.client.loop_start()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def publish(self, username: str) -> None:
        sent = self.client.publish(f"tirta/v1/{username}/telemetry", b'{"soil_moisture": 0.27}', qos=1)
        sent.wait_for_publish(20)
        assert sent.is_published()


def test_ready_says_how_others_reach_it(network: Network) -> None:
    ready = network.tirta.ready

    assert ready["https"] == f"https://127.0.0.1:{network.ports['HTTPS']}"
    assert ready["mqtts"] == f"mqtts://127.0.0.1:{network.ports['MQTTS']}"
    assert ready["http"].startswith("http://127.0.0.1:")


def test_client_that_verifies_is_answered_and_told_to_stay_with_tls(network: Network) -> None:
    connection = http.client.HTTPSConnection("localhost", network.ports["HTTPS"], context=network.trust(), timeout=20)
    connection.request("GET", "/healthz")
    answer = connection.getresponse()

    assert answer.status == 200
    assert answer.headers["strict-transport-security"] == "max-age=15768000"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    connection.close()

    plain = urlsplit(network.tirta.ready["http"])
    assert plain.hostname is not None
    connection = http.client.HTTPConnection(plain.hostname, plain.port, timeout=20)
    connection.request("GET", "/healthz")
    assert "strict-transport-security" not in connection.getresponse().headers
    connection.close()


def test_typed_client_verifies_with_the_authority_and_refuses_another(network: Network) -> None:
    url, token = f"https://localhost:{network.ports['HTTPS']}", network.tirta.ready["token"]
    other = network.folder / "other.pem"
    other.write_text(Signer.root().pem)

    with Client(url, token, network.ca) as client:
        assert client.health().status == "ok"
    for stranger in (Client(url, token, other), Client(url, token)):
        with stranger, pytest.raises(ServiceAnswer, match="certificate"):
            stranger.calls.send("GET", "/readyz")


def test_renewal_is_taken_by_both_listeners_and_cuts_nobody_off(network: Network) -> None:
    made = network.tirta.run("device", "add", "taman-kota:bedeng-9", "--kind", "irrigation-controller")
    shown = dict(line.split(maxsplit=1) for line in made.stdout.splitlines()[:2])
    board = Board(network, network.trust(), shown["username"], shown["password"])
    board.publish(shown["username"])
    page = http.client.HTTPSConnection("localhost", network.ports["HTTPS"], context=network.trust(), timeout=60)
    page.request("GET", "/api/v1/events", headers={"authorization": f"Bearer {network.tirta.ready['token']}"})
    events = page.getresponse()
    assert events.status == 200
    before = {name: network.serial(name) for name in ("HTTPS", "MQTTS")}

    assert network.tirta.run("ca", "renew").returncode == 0

    for name, serial in before.items():
        eventually(lambda name=name, serial=serial: network.serial(name) != serial, f"{name} shows another", 60)
    assert network.serial("HTTPS") == network.serial("MQTTS")
    # Both connections are from before: what the one says is heard on the other.
    board.publish(shown["username"])
    assert any(b"bedeng-9" in line for line in iter(events.readline, b""))
    assert not board.gone.is_set()
    page.close()
    board.close()


def test_device_is_known_by_its_certificate_until_it_is_revoked(network: Network) -> None:
    assert network.tirta.run("device", "add", DEVICE, "--kind", "irrigation-controller").returncode == 0
    signed = network.tirta.run("ca", "sign", DEVICE, "--out", str(network.folder / "board"))
    assert signed.returncode == 0, signed.stderr
    context = tls_context(network.folder / "board" / "ca.pem")
    context.load_cert_chain(network.folder / "board" / "bedeng-1.pem", network.folder / "board" / "bedeng-1.key")
    board = Board(network, context, "whatever")
    eventually(lambda: board.said == ["Success"], "the board is let in")
    board.publish("taman-kota/bedeng-1")
    with network.tirta.client() as client:
        eventually(lambda: "soil_moisture" in client.zones.get(f"{DEVICE}:1").latest, "what it measured arrives")

    assert network.tirta.run("device", "revoke", DEVICE).returncode == 0

    assert board.gone.wait(20)
    board.client.loop_stop()
    refused = Board(network, context, "whatever")
    assert refused.gone.wait(20)
    assert refused.said == []
    refused.client.loop_stop()
    shown = network.tirta.run("ca", "show").stdout
    assert "taman-kota/bedeng-1" in shown
    assert "revoked" in shown


def test_doctor_asks_the_listeners_and_looks_at_the_keys_mode(network: Network) -> None:
    parts = {line.split()[1]: line for line in network.tirta.run("doctor").stdout.splitlines()}
    assert parts["certificate"].startswith("ok  ")
    assert parts["authority"].startswith("ok  ")
    assert parts["HTTPS"].endswith("shows the certificate in use")
    assert parts["MQTTS"].endswith("shows the certificate in use")
    assert "with TLS: HTTPS" in parts["listeners"]

    key = network.tirta.data / "tls" / "ca.key"
    key.chmod(0o644)
    told = network.tirta.run("doctor", environment={"TIRTA_TLS_NAMES": '["tirta.example"]'})
    key.chmod(0o600)

    assert told.returncode == 1
    assert f"chmod 600 {key}" in told.stdout
    assert "does not stand for tirta.example" in told.stdout


def test_doctor_knows_what_up_was_told_on_its_command_line(tmp_path: Path) -> None:
    assert run_tirta("init", "--tls", "--data", tmp_path / "data").returncode == 0
    https = f"127.0.0.1:{free_port()}"
    with Tirta(tmp_path, "--https", https, "--http", "0.0.0.0:0", "--behind-proxy") as tirta:
        running = tirta.run("doctor").stdout
        assert tirta.stop() == 0
        stopped = tirta.run("doctor").stdout

    assert f"HTTPS on {https}" in running
    assert f"{https} shows the certificate in use" in running
    assert "HTTP on 0.0.0.0:0 without TLS, as behind_proxy says" in running
    assert "plain: loopback only" in stopped


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--mqtt", "0.0.0.0:0", "--behind-proxy"), "add --mqtts HOST:PORT"),
        (("--https", "127.0.0.1:0"), "tirta init --tls"),
    ],
)
def test_up_that_would_be_reached_without_tls_does_not_start(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    told = run_tirta("up", "--data", tmp_path, "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", *arguments)

    assert told.returncode == 1
    assert said in told.stderr
    assert "Traceback" not in told.stderr


@pytest.fixture
def time_server() -> Iterator[tuple[int, list[bytes]]]:
    """Answer one question for the time with what the test puts into the list; or not at all."""
    answers: list[bytes] = []
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                question, address = server.recvfrom(1024)
            except OSError:
                return
            if not question:
                return
            if answers:
                server.sendto(answers.pop(0), address)

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.getsockname()[1], answers
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
        last.sendto(b"", server.getsockname())
    thread.join(20)
    server.close()


def _answer(seconds: float, *, first: int = 0x24, stratum: int = 10) -> bytes:
    """Write an SNTP answer (RFC 4330, section 4)."""
    count = int(seconds) + 2_208_988_800
    return bytes([first, stratum]) + bytes(38) + struct.pack("!II", count % 2**32, 0)


def test_ask_time_of_a_server_tells_how_far_its_answer_is_ahead(time_server: tuple[int, list[bytes]]) -> None:
    port, answers = time_server
    answers.append(_answer(time.time() + 1000))
    ahead_s = ask_time("127.0.0.1", port)
    assert ahead_s == pytest.approx(1000, abs=20)

    answers.append(_answer(time.time() + 1000))
    finding = examine_time_service(["127.0.0.1"], port)
    assert not finding.ok
    assert "off this machine's clock" in finding.text


def test_ask_time_of_a_server_that_is_not_set_or_silent_gets_none(time_server: tuple[int, list[bytes]]) -> None:
    port, answers = time_server
    for answer in (
        _answer(time.time(), first=0xE4),
        _answer(time.time(), stratum=0),
        _answer(time.time(), first=0x23),
        b"short",
    ):
        answers.append(answer)
        assert ask_time("127.0.0.1", port) is None
    assert not examine_time_service(["127.0.0.1"], port).ok
