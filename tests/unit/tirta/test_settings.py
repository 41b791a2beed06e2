# SPDX-License-Identifier: Apache-2.0
"""Settings: the command line over the environment over the file, and a clear word about what cannot be taken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tirta.errors import InvalidSettings
from tirta.settings import load_settings, split_host_port


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TIRTA_")]:
        monkeypatch.delenv(name)


def test_load_settings_with_nothing_said_listens_on_loopback_only() -> None:
    settings = load_settings()
    assert settings.http.startswith("127.0.0.1:")
    assert settings.mqtt.startswith("127.0.0.1:")
    assert settings.behind_proxy is False
    assert settings.store_names == ("duckdb",)


def test_load_settings_takes_the_command_line_over_the_environment_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tirta.toml"
    file.write_text('http = "127.0.0.1:1"\nmqtt = "127.0.0.1:1"\nlog_level = "debug"\n[broker]\nurl = "mqtt://a:1"\n')
    monkeypatch.setenv("TIRTA_HTTP", "127.0.0.1:2")
    monkeypatch.setenv("TIRTA_MQTT", "127.0.0.1:2")
    monkeypatch.setenv("TIRTA_BROKER_RELOAD", "kill -HUP 1")
    settings = load_settings(file, http="127.0.0.1:3", mqtt=None)
    assert (settings.http, settings.mqtt, settings.log_level) == ("127.0.0.1:3", "127.0.0.1:2", "debug")
    assert (settings.broker.url, settings.broker.reload) == ("mqtt://a:1", "kill -HUP 1")


def test_load_settings_with_an_influx_url_makes_influxdb_the_store_and_hides_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIRTA_INFLUX_URL", "http://127.0.0.1:8086")
    monkeypatch.setenv("TIRTA_INFLUX_TOKEN", "a-secret")
    settings = load_settings()
    assert settings.store_names == ("influxdb",)
    assert "a-secret" not in repr(settings)
    assert settings.influx.token.get_secret_value() == "a-secret"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('http = "8080"', "http"),
        ("journal_max_mib = 1", "journal_max_mib"),
        ('stores = ["mysql"]', "stores"),
        ('colour = "red"', "colour"),
        ('[broker]\nuri = "mqtt://a"', "broker.uri"),
        ("= nonsense", "tirta.toml"),
    ],
)
def test_load_settings_with_a_wrong_file_names_the_setting(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "tirta.toml"
    file.write_text(text)
    with pytest.raises(InvalidSettings, match=named):
        load_settings(file)


def test_load_settings_of_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"none\.toml"):
        load_settings(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:0", ("::1", 0)), ("localhost:65535", ("localhost", 65535))],
)
def test_split_host_port_of_an_address_gives_both(text: str, expected: tuple[str, int]) -> None:
    assert split_host_port(text) == expected


@pytest.mark.parametrize("text", ["", ":", "8080", ":8080", "a:", "a:-1", "a:65536", "a:1x", "a:²"])
def test_split_host_port_of_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        split_host_port(text)
