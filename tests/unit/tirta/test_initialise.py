# SPDX-License-Identifier: Apache-2.0
"""What `tirta init` writes, and what it leaves alone."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner

from gateway.broker_config import BrokerFiles
from gateway.credentials import PROBE
from tests.servers.certificates import Signer, write_pair
from tirta.cli import app
from tirta.errors import CertificateUnfit, NotPossible
from tirta.initialise import write_broker, write_env, write_tls
from tirta.settings import load_settings

SECRETS = ("INFLUX_ADMIN_PASSWORD", "INFLUX_TOKEN", "GRAFANA_ADMIN_PASSWORD")


def _values(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_write_env_in_an_empty_folder_writes_long_secrets_for_the_owner_only(tmp_path: Path) -> None:
    told = write_env(tmp_path / "new" / ".env")

    values = _values(tmp_path / "new" / ".env")
    assert all(len(values[name]) >= 32 for name in SECRETS)
    assert len({values[name] for name in SECRETS}) == len(SECRETS)
    assert _mode(tmp_path / "new" / ".env") == 0o600
    assert "docker-compose up" in told


def test_write_env_twice_makes_different_secrets_each_time(tmp_path: Path) -> None:
    write_env(tmp_path / "one")
    write_env(tmp_path / "two")

    one, two = _values(tmp_path / "one"), _values(tmp_path / "two")
    assert all(one[name] != two[name] for name in SECRETS)


def test_write_env_where_one_is_leaves_it_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("INFLUX_TOKEN=mine\n")

    told = write_env(tmp_path / ".env")

    assert (tmp_path / ".env").read_text() == "INFLUX_TOKEN=mine\n"
    assert "left as it is" in told


def test_write_env_where_a_file_is_in_the_way_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(NotPossible, match="cannot write"):
        write_env(tmp_path / "file" / ".env")


def test_write_broker_in_an_empty_folder_lets_nobody_in_and_names_its_own_files(tmp_path: Path) -> None:
    files = BrokerFiles(tmp_path / "broker")

    write_broker(load_settings(), files.folder, ("127.0.0.1", 1884))

    configuration = files.configuration.read_text()
    assert "listener 1884 127.0.0.1\n" in configuration
    assert "allow_anonymous false\n" in configuration
    assert f"password_file {files.passwords}\n" in configuration
    assert "log_dest stderr\n" in configuration
    # The probe's password is known to nobody.
    assert [line.split(":")[0] for line in files.passwords.read_text().splitlines()] == [PROBE]
    assert files.store.is_dir()
    assert _mode(files.folder) == 0o700
    assert {_mode(path) for path in (files.configuration, files.passwords, files.acl)} == {0o600}


def test_write_broker_where_users_are_keeps_them_and_renews_the_configuration(tmp_path: Path) -> None:
    files = BrokerFiles(tmp_path / "broker")
    write_broker(load_settings(), files.folder, ("127.0.0.1", 1884))
    files.passwords.write_text("tirta-ingest:$7$hash\n")

    write_broker(load_settings(), files.folder, ("127.0.0.1", 1885))

    assert files.passwords.read_text() == "tirta-ingest:$7$hash\n"
    assert "listener 1885 127.0.0.1\n" in files.configuration.read_text()


def test_write_broker_where_a_file_is_in_the_way_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(NotPossible, match="cannot write the broker's files"):
        write_broker(load_settings(), tmp_path / "file", ("127.0.0.1", 1884))


def test_init_with_broker_writes_the_folder_and_no_env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    answer = CliRunner().invoke(app, ["init", "--broker", "broker", "--listen", "127.0.0.1:1884"])

    assert answer.exit_code == 0, answer.output
    assert "listener 1884 127.0.0.1" in (tmp_path / "broker/mosquitto.conf").read_text()
    assert not (tmp_path / ".env").exists()


def test_init_with_an_address_beyond_loopback_asks_for_behind_proxy(tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, ["init", "--broker", str(tmp_path / "a"), "--listen", "0.0.0.0:1883"])
    taken = CliRunner().invoke(app, ["init", "--broker", str(tmp_path / "b"), "--listen", "0.0.0.0:1883", "--behind-proxy"])

    assert isinstance(refused.exception, NotPossible)
    assert "--behind-proxy" in str(refused.exception)
    assert taken.exit_code == 0, taken.output
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("listen", ["1883", "localhost", ":1883", "127.0.0.1:70000"])
def test_init_with_a_bad_listen_address_is_refused_as_wrongly_called(tmp_path: Path, listen: str) -> None:
    answer = CliRunner().invoke(app, ["init", "--broker", str(tmp_path / "a"), "--listen", listen])

    assert answer.exit_code == 2
    assert "--listen" in answer.output


def test_write_broker_with_tls_writes_its_certificate_beside_its_configuration(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path / "data")
    write_tls(settings)
    files = BrokerFiles(tmp_path / "broker")

    write_broker(settings, files.folder, ("0.0.0.0", 1883), ("0.0.0.0", 8883), behind_proxy=True)

    assert f"listener 8883 0.0.0.0\nmax_connections 20000\nuse_username_as_clientid true\ncertfile {files.certificate}" in (
        files.configuration.read_text()
    )
    assert files.certificate.read_text() == (tmp_path / "data/tls/server.pem").read_text()


def test_write_broker_with_tls_before_there_is_an_authority_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(CertificateUnfit, match="tirta init --tls"):
        write_broker(load_settings(data=tmp_path / "data"), tmp_path / "b", ("127.0.0.1", 1883), ("0.0.0.0", 8883))


def test_write_tls_twice_keeps_the_authority_and_the_certificate(tmp_path: Path) -> None:
    told = write_tls(load_settings(data=tmp_path))
    before = {path.name: path.read_text() for path in (tmp_path / "tls").iterdir()}

    write_tls(load_settings(data=tmp_path))

    assert "tirta up --https" in told
    assert set(before) == {"ca.pem", "ca.key", "server.pem"}
    assert {path.name: path.read_text() for path in (tmp_path / "tls").iterdir()} == before
    assert {_mode(tmp_path / "tls" / name) for name in before} == {0o600}
    assert _mode(tmp_path / "tls") == 0o700


def test_write_tls_with_a_given_certificate_judges_it_and_makes_no_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = write_pair(tmp_path, Signer.root().server((x509.DNSName("tirta.example"),)))
    monkeypatch.setenv("TIRTA_TLS_CERTIFICATE", str(certificate))
    with pytest.raises(CertificateUnfit, match="no private key"):
        write_tls(load_settings(data=tmp_path / "data"))
    monkeypatch.setenv("TIRTA_TLS_KEY", str(key))

    told = write_tls(load_settings(data=tmp_path / "data"))

    assert "for tirta.example" in told
    assert not (tmp_path / "data/tls/ca.pem").exists()


def test_write_tls_where_a_file_is_in_the_way_says_so(tmp_path: Path) -> None:
    (tmp_path / "tls").write_text("")

    with pytest.raises(NotPossible, match="cannot write"):
        write_tls(load_settings(data=tmp_path))


def test_init_with_tls_for_names_that_are_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tirta.toml"
    file.write_text('[tls]\nnames = ["tirta lan"]\n')

    answer = CliRunner().invoke(app, ["init", "--tls", "--data", str(tmp_path / "data"), "--config", str(file)])

    assert isinstance(answer.exception, CertificateUnfit)
    assert "neither a host name nor an address" in str(answer.exception)
