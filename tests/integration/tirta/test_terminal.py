# SPDX-License-Identifier: Apache-2.0
"""What a device sends cannot reach the terminal of whoever looks at it."""

from __future__ import annotations

from pathlib import Path

from tests.servers.bench import BenchDevice, add_device
from tests.servers.tirta import Tirta, eventually

FORGED = "     1  2026-01-01T00:00:00Z     all is well"


def test_quarantine_shown_at_a_terminal_holds_no_sequence_that_it_would_obey(tmp_path: Path) -> None:
    with Tirta(tmp_path) as tirta, tirta.client() as client:
        with BenchDevice(tirta, add_device(client, "board")) as board:
            # Escaped in JSON, as the name of a quantity; and as it is.
            board.publish({f"\x1b]0;owned\x07\u202e\n{FORGED}": 1.0})
            board.publish(b'{"soil_moisture": \x1b[2J\x9b\r\x00 0.3')
        items = eventually(
            lambda: found if len(found := list(client.quarantine.list())) == 2 else None, "both are in quarantine"
        )
        listed = tirta.run("quarantine", "list")
        shown = [tirta.run("quarantine", "show", str(item.id)) for item in items]
    for done in (listed, *shown):
        assert done.returncode == 0, done.stderr
        assert all(sign == "\n" or sign.isprintable() for sign in done.stdout), repr(done.stdout)
    assert len(listed.stdout.splitlines()) == 2
    assert any(r"\x1b[2J" in done.stdout for done in shown)
    assert not any(line.startswith(FORGED) for done in (listed, *shown) for line in done.stdout.splitlines())
