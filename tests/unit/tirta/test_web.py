# SPDX-License-Identifier: Apache-2.0
"""Where the service may listen: loopback, unless somebody says what stands before it."""

from __future__ import annotations

import pytest

from tirta.errors import NotPossible
from tirta.web import is_loopback, require_safe


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_require_safe_of_loopback_passes(host: str) -> None:
    assert is_loopback(host)
    require_safe("HTTP", host, behind_proxy=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.example.org", "localhost.evil", ""])
def test_require_safe_of_another_address_is_refused_without_a_proxy(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(NotPossible, match="--behind-proxy"):
        require_safe("HTTP", host, behind_proxy=False)
    require_safe("HTTP", host, behind_proxy=True)
