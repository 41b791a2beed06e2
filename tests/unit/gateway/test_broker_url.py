# SPDX-License-Identifier: Apache-2.0
"""Reading a broker's address."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from gateway.broker_url import BrokerAddress, parse_broker_url, tls_context
from gateway.errors import InvalidAddress


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("mqtt://host", BrokerAddress("host", 1883, tls=False)),
        ("mqtts://host", BrokerAddress("host", 8883, tls=True)),
        ("mqtt://u:p@host:1900/", BrokerAddress("host", 1900, tls=False, username="u", password="p")),
        ("mqtts://a%2Fb:p%40%3A@[::1]:1", BrokerAddress("::1", 1, tls=True, username="a/b", password="p@:")),
    ],
)
def test_parse_broker_url_of_a_good_address_gives_its_parts(url: str, wanted: BrokerAddress) -> None:
    assert parse_broker_url(url) == wanted


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("host:1883", "begins with"),
        ("", "no scheme"),
        ("tcp://host", "begins with 'tcp'"),
        ("mqtt://", "names no host"),
        ("mqtt://u:s3cret@:1883", "names no host"),
        ("mqtt://host/topic", "goes on"),
        ("mqtt://host?x=1", "goes on"),
        ("mqtt://u@host", "both user and password"),
        ("mqtt://:s3cret@host", "both user and password"),
        ("mqtt://u:s3cret@host:port", "no usable host or port"),
        ("mqtt://u:s3cret@host:99999", "no usable host or port"),
        ("mqtt://u:s3cret@[::1", "no usable host or port"),
    ],
)
def test_parse_broker_url_of_a_bad_address_says_what_to_write_and_no_password(url: str, reason: str) -> None:
    with pytest.raises(InvalidAddress, match=reason) as caught:
        parse_broker_url(url)
    assert "mqtt://user:password@host:1883" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_broker_address_never_shows_its_password() -> None:
    assert "s3cret" not in repr(parse_broker_url("mqtt://u:s3cret@host"))


def test_tls_context_verifies_certificate_and_name() -> None:
    context = tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_tls_context_of_a_missing_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidAddress, match="no-such"):
        tls_context(tmp_path / "no-such.pem")
