# SPDX-License-Identifier: Apache-2.0
"""Secrets and their hashes."""

from __future__ import annotations

import base64

import pytest

from gateway.credentials import Credential, device_username, hash_password, new_credential, verify_password
from gateway.errors import InvalidInput


def test_new_credential_has_at_least_128_random_bits_each_time() -> None:
    passwords = {new_credential("pilot/bed-1").password for _ in range(100)}
    assert len(passwords) == 100
    assert min(len(base64.urlsafe_b64decode(one + "=")) for one in passwords) >= 16


def test_hash_password_is_salted_and_verifies_only_its_own() -> None:
    first, second = hash_password("sea"), hash_password("sea")
    assert first != second
    assert verify_password("sea", first)
    assert verify_password("sea", second)
    assert not verify_password("see", first)
    assert first.startswith("$7$1$")


@pytest.mark.parametrize("text", ["", "sea", "$6$101$AA==$AA==", "$7$x$AA==$AA==", "$7$0$AA==$AA==", "$7$1$?$AA==", "$7$$$"])
def test_verify_password_of_a_text_that_is_no_hash_is_false(text: str) -> None:
    assert not verify_password("sea", text)


@pytest.mark.parametrize("username", ["", "a:b", "a b", "a/b/c", "a\nb", "+/a", "#", "/a", "A/b", "a" * 65])
def test_new_credential_for_a_name_that_would_break_the_files_is_refused(username: str) -> None:
    with pytest.raises(InvalidInput, match="user name"):
        new_credential(username)


def test_device_username_joins_site_and_device() -> None:
    assert device_username("pilot", "bed_1") == "pilot/bed_1"


@pytest.mark.parametrize(("site", "device"), [("pilot", ""), ("", "bed"), ("a/b", "c"), ("a", "b/c"), ("+", "b"), ("a", "é")])
def test_device_username_of_other_signs_is_refused(site: str, device: str) -> None:
    with pytest.raises(InvalidInput, match="64"):
        device_username(site, device)


def test_credential_never_shows_its_password() -> None:
    assert "s3cret" not in repr(Credential("pilot/bed-1", "s3cret"))
