# SPDX-License-Identifier: Apache-2.0
"""An alarm from its cause to its end, over restarts, as who minds Tirta sees it."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.servers.bench import BenchDevice, add_device
from tests.servers.sink import Sink
from tests.servers.tirta import Tirta, eventually
from tirta.client import Alarm
from tirta.errors import NotThere

CODE = "store-refused"


def alarms(tirta: Tirta, *, is_open: bool | None = None) -> list[Alarm]:
    """Return the alarms of a store that lets us not in, as the API lists them."""
    with tirta.client() as client:
        return list(client.alarms.list(code=CODE, open=is_open))


def counted(tirta: Tirta) -> str:
    """Return what `/metrics` counts of them."""
    bearer = {"authorization": f"Bearer {tirta.ready['token']}"}
    answer = httpx2.get(f"{tirta.ready['http']}/metrics", headers=bearer, trust_env=False)
    return next(line for line in answer.text.splitlines() if line.startswith(f'tirta_alarm{{code="{CODE}"}}'))


@pytest.mark.slow
def test_an_alarm_is_raised_by_its_cause_seen_kept_over_a_restart_and_cleared_with_its_cause(tmp_path: Path) -> None:
    with Sink(tmp_path / "sink") as sink:
        sink.be("401")
        environment = {"TIRTA_INFLUX_URL": sink.url, "TIRTA_INFLUX_TOKEN": "ended"}
        with Tirta(tmp_path, environment=environment) as tirta:
            with tirta.client() as client, BenchDevice(tirta, add_device(client, "sender")) as device:
                device.publish({"boot": 1, "seq": 0, "flow": 1.0})
                (raised,) = eventually(lambda: alarms(tirta, is_open=True), "a store that refuses us is an alarm", 60)
                assert (raised.severity, raised.subject, raised.cleared) == ("critical", "store:influxdb", None)
                assert "menolak" in raised.text.id
                assert counted(tirta).endswith(" 1.0")
                seen = client.alarms.see(raised.id)
                assert (seen.seen_by, seen.cleared) == ("ready-file", None)
                with pytest.raises(NotThere):
                    client.alarms.see("0" * 26)
            assert "(seen by ready-file)" in tirta.run("alarms").stdout
            tirta.kill()
            tirta.start()
            (kept,) = alarms(tirta)
            assert (kept.id, kept.seen_by, kept.cleared) == (raised.id, "ready-file", None)
            assert counted(tirta).endswith(" 1.0")
            # As the runbook says: correct the token, start again.
            sink.be("ok")
            assert tirta.stop() == 0
            tirta.start()
            (cleared,) = eventually(lambda: alarms(tirta, is_open=False), "it ends with its cause", 60)
            assert (cleared.id, cleared.seen_by) == (raised.id, "ready-file")
            assert alarms(tirta, is_open=True) == []
            assert counted(tirta).endswith(" 0.0")
            assert CODE not in tirta.run("alarms").stdout
            assert tirta.stop() == 0
