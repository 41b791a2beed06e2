# SPDX-License-Identifier: Apache-2.0
"""mosquitto's files as text."""

from __future__ import annotations

from pathlib import Path

from gateway.broker_config import BrokerFiles, BrokerLimits, acl_text, configuration_text, passwords_text

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
