# SPDX-License-Identifier: Apache-2.0
"""mosquitto's files as text."""

from __future__ import annotations

from pathlib import Path

from gateway.broker_config import (
    BrokerCertificates,
    BrokerFiles,
    BrokerLimits,
    SecureListeners,
    acl_text,
    configuration_text,
    passwords_text,
)

FILES = BrokerFiles(Path("/var/lib/tirta/broker"))


def configuration(*, log: Path | None = None, user: str | None = None) -> dict[str, str]:
    text = configuration_text(FILES, host="127.0.0.1", port=18830, limits=BrokerLimits(), log=log, user=user)
    return dict(line.split(" ", 1) for line in text.splitlines() if not line.startswith("#"))


def test_configuration_text_lets_nobody_in_without_a_credential_of_their_own() -> None:
    options = configuration()
    assert options["allow_anonymous"] == "false"
    assert options["use_username_as_clientid"] == "true"
    assert options["password_file"] == "/var/lib/tirta/broker/mosquitto.passwd"
    assert options["acl_file"] == "/var/lib/tirta/broker/mosquitto.acl"
    assert options["listener"] == "18830 127.0.0.1"


def test_configuration_text_bounds_every_queue() -> None:
    options = configuration()
    for name in (
        "max_connections",
        "max_queued_messages",
        "max_queued_bytes",
        "max_packet_size",
        "memory_limit",
        "max_keepalive",
    ):
        assert int(options[name]) > 0
    assert options["max_inflight_messages"] == "0"
    assert options["persistence"] == "true"
    assert int(options["autosave_interval"]) <= 60


def test_configuration_text_never_sets_what_halves_the_rate_or_loses_messages() -> None:
    assert not {"set_tcp_nodelay", "message_size_limit", "autosave_on_changes"} & set(configuration())


def test_configuration_text_names_an_account_only_when_given() -> None:
    assert "user" not in configuration()
    assert configuration(user="root")["user"] == "root"


def test_configuration_text_logs_to_stderr_without_a_file() -> None:
    assert configuration()["log_dest"] == "stderr"
    assert configuration(log=Path("/x/log"))["log_dest"] == "file /x/log"


def listeners(secure: SecureListeners) -> list[dict[str, str]]:
    """Return the options of each listener, in order."""
    text = configuration_text(
        FILES, host="127.0.0.1", port=18830, limits=BrokerLimits(), log=None, user=None, secure=secure
    ).partition("\nlistener ")[2]
    return [dict(line.split(" ", 1) for line in f"listener {part}".splitlines()) for part in text.split("\nlistener ")]


def test_configuration_text_without_secure_listeners_has_the_plain_one_alone() -> None:
    assert [one["listener"] for one in listeners(SecureListeners())] == ["18830 127.0.0.1"]


def test_configuration_text_with_tls_proves_itself_and_takes_no_old_protocol() -> None:
    plain, secure = listeners(SecureListeners(passwords=("0.0.0.0", 8883)))

    assert "certfile" not in plain
    assert secure["listener"] == "8883 0.0.0.0"
    assert secure["certfile"] == secure["keyfile"] == "/var/lib/tirta/broker/server.pem"
    assert secure["tls_version"] == "tlsv1.2"
    assert "require_certificate" not in secure
    assert secure["use_username_as_clientid"] == "true"


def test_configuration_text_for_certificates_asks_for_one_and_takes_the_user_name_from_it() -> None:
    _, secure = listeners(SecureListeners(certificates=("0.0.0.0", 8884)))

    assert secure["require_certificate"] == secure["use_identity_as_username"] == secure["use_username_as_clientid"] == "true"
    assert secure["cafile"] == "/var/lib/tirta/broker/devices-ca.pem"
    assert secure["crlfile"] == "/var/lib/tirta/broker/devices.crl"


def test_write_certificates_writes_what_is_given_for_the_owner_only(tmp_path: Path) -> None:
    files = BrokerFiles(tmp_path)

    files.write_certificates(BrokerCertificates("key and chain"))
    assert {path.name for path in tmp_path.iterdir()} == {"server.pem"}
    files.write_certificates(BrokerCertificates("another", "authority", "revoked"))

    assert [path.read_text() for path in (files.certificate, files.authority, files.revoked)] == [
        "another",
        "authority",
        "revoked",
    ]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_acl_text_gives_devices_their_own_prefix_and_roles_only_their_channels() -> None:
    text = acl_text()
    patterns = [line for line in text.splitlines() if line.startswith("pattern")]
    assert len(patterns) == 8
    assert all("/%u/" in line for line in patterns)
    assert "#" not in "".join(line for line in text.splitlines() if not line.startswith("#"))
    ingest = text.split("user tirta-ingest\n")[1].split("\n\n")[0].splitlines()
    assert ingest == [
        "topic read tirta/v1/+/+/telemetry",
        "topic write tirta/v1/+/+/stored",
        "topic write tirta/v1/+/+/error",
    ]


def test_passwords_text_is_one_line_a_user() -> None:
    assert passwords_text({"b": "$7$2", "a/b": "$7$1"}) == "a/b:$7$1\nb:$7$2\n"
