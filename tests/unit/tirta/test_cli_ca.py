# SPDX-License-Identifier: Apache-2.0
"""`tirta ca …`: the authority given out in every form, shown, renewed."""

from __future__ import annotations

import plistlib
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner, Result

from tests.servers.certificates import Signer, write_pair
from tirta.cli import app
from tirta.errors import CertificateUnfit, NotPossible

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def invoke(*words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--data", str(tmp_path / "data")], env={"TIRTA_TLS_NAMES": '["tirta.lan"]'})

    assert invoke("init", "--tls").exit_code == 0
    return invoke


def _authority(tmp_path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((tmp_path / "data/tls/ca.pem").read_bytes())


def test_export_gives_out_the_certificate_and_never_the_key(run: Run, tmp_path: Path) -> None:
    told = run("ca", "export")

    assert x509.load_pem_x509_certificate(told.stdout_bytes) == _authority(tmp_path)
    assert "PRIVATE" not in told.stdout


def test_export_into_a_file_shows_what_is_to_be_compared(run: Run, tmp_path: Path) -> None:
    told = run("ca", "export", "--format", "der", "--out", str(tmp_path / "ca.der"))

    assert x509.load_der_x509_certificate((tmp_path / "ca.der").read_bytes()) == _authority(tmp_path)
    assert re.search(r"SHA-256 is ([0-9A-F]{2}:){31}[0-9A-F]{2}", told.stdout)
    assert stat.S_IMODE((tmp_path / "ca.der").stat().st_mode) == 0o644


def test_export_as_a_profile_installs_one_root_and_is_the_same_each_time(run: Run, tmp_path: Path) -> None:
    one, two = run("ca", "export", "--format", "mobileconfig"), run("ca", "export", "--format", "mobileconfig")

    profile = plistlib.loads(one.stdout_bytes)
    [payload] = profile["PayloadContent"]
    assert payload["PayloadType"] == "com.apple.security.root"
    assert x509.load_der_x509_certificate(payload["PayloadContent"]) == _authority(tmp_path)
    assert profile["PayloadUUID"] != payload["PayloadUUID"]
    assert one.stdout_bytes == two.stdout_bytes


def test_export_as_a_header_holds_the_pem_as_one_string(run: Run, tmp_path: Path) -> None:
    header = run("ca", "export", "--format", "c").stdout

    lines = re.findall(r'^    "([^"]*)\\n"', header, re.MULTILINE)
    assert x509.load_pem_x509_certificate("\n".join(lines).encode()) == _authority(tmp_path)
    assert "#ifndef TIRTA_CA_H" in header


def test_export_in_an_unknown_format_is_refused_as_wrongly_called(run: Run) -> None:
    told = run("ca", "export", "--format", "pkcs12")

    assert told.exit_code == 2
    assert "mobileconfig" in told.output


def test_renew_makes_another_certificate_by_the_same_authority(run: Run, tmp_path: Path) -> None:
    server, before = tmp_path / "data/tls/server.pem", _authority(tmp_path)
    old = server.read_text()

    told = run("ca", "renew")

    assert "for tirta.lan, localhost" in told.stdout
    assert server.read_text() != old
    assert _authority(tmp_path) == before


def test_renew_of_the_authority_keeps_the_old_one_aside_and_says_whom_to_tell(run: Run, tmp_path: Path) -> None:
    before = _authority(tmp_path)

    told = run("ca", "renew", "--authority")

    assert "every phone and board" in told.stdout
    assert _authority(tmp_path) != before
    assert x509.load_pem_x509_certificate((tmp_path / "data/tls/ca.pem.old").read_bytes()) == before
    used = x509.load_pem_x509_certificates((tmp_path / "data/tls/server.pem").read_bytes())[0]
    used.verify_directly_issued_by(_authority(tmp_path))


def test_show_tells_ends_and_names(run: Run) -> None:
    told = run("ca", "show").stdout

    assert "authority    CN=Tirta authority" in told
    assert "for tirta.lan, localhost, 127.0.0.1, ::1" in told


def test_sign_while_the_service_is_stopped_says_what_signs(run: Run) -> None:
    told = run("ca", "sign", "taman-kota:bedeng-1")

    assert isinstance(told.exception, NotPossible)
    assert "tirta up" in str(told.exception)


def test_export_of_a_given_certificate_gives_its_root_or_says_whom_to_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Signer.root()
    between = root.below("between")
    certificate, key = write_pair(tmp_path, between.server((x509.DNSName("tirta.example"),)), between, root)
    monkeypatch.setenv("TIRTA_TLS_CERTIFICATE", str(certificate))
    monkeypatch.setenv("TIRTA_TLS_KEY", str(key))
    ask = ["ca", "export", "--data", str(tmp_path / "data")]

    assert CliRunner().invoke(app, ask).stdout == root.pem

    write_pair(tmp_path, between.server((x509.DNSName("tirta.example"),)), between)
    told = CliRunner().invoke(app, ask)
    assert isinstance(told.exception, CertificateUnfit)
    assert "CN=City root" in str(told.exception)
