# SPDX-License-Identifier: Apache-2.0
"""The link's decisions and the limits of its configuration."""

from __future__ import annotations

import random
from typing import Any

import pytest

from gateway.connection import Beat, beat
from gateway.link import LinkConfig, backoff_s


def test_backoff_s_rises_to_its_bound_and_is_jittered() -> None:
    rng = random.Random(4)
    waits = [[backoff_s(attempt, min_s=0.2, max_s=30.0, rng=rng) for _ in range(200)] for attempt in (1, 5, 60)]
    assert all(0.2 <= wait <= 30.0 for group in waits for wait in group)
    assert max(waits[0]) <= 0.4 < max(waits[1]) <= 6.4 < max(waits[2])
    assert len(set(waits[2])) == 200


@pytest.mark.parametrize(
    ("silent_s", "since_ping_s", "wanted"),
    [(0, 0, Beat.NOTHING), (10, 15, Beat.PING), (37, 10, Beat.NOTHING), (37.5, 10, Beat.DEAD), (100, 100, Beat.DEAD)],
)
def test_beat_pings_each_half_interval_and_ends_after_silence(silent_s: float, since_ping_s: float, wanted: Beat) -> None:
    now_s = 1000.0
    given = beat(now_s=now_s, last_received_s=now_s - silent_s, last_ping_s=now_s - since_ping_s, keep_alive_s=30)
    assert given is wanted


@pytest.mark.parametrize(
    "change",
    [{"receive_max": 65535}, {"max_inflight": 0}, {"keep_alive_s": 0}, {"subscriptions": (("a", 2),)}],
)
def test_link_config_beyond_a_limit_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is 0 or 1|is 1 to"):
        LinkConfig(host="h", port=1, username="u", password="p", client_id="u", **change)


def test_link_config_never_shows_its_password() -> None:
    assert "s3cret" not in repr(LinkConfig(host="h", port=1, username="u", password="s3cret", client_id="u"))
