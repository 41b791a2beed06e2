# SPDX-License-Identifier: Apache-2.0
"""A bed whose emitters clog: the schedule waters, the meter disagrees, the zone is held, somebody mends it and lets it go."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.tirta import COMMAND, Tirta, eventually, plain_environment
from tirta.client import Client, Irrigation

BED = "pilot:garden:1"
SPEED = "60"  # a watering of a minute takes a second, and a verdict two more


@contextmanager
def played(tirta: Tirta, *arguments: str) -> Iterator[None]:
    """Play the demo's devices against a running Tirta."""
    command = [*COMMAND, "simulate", "demo", "--broker", tirta.ready["mqtt"], "--api", tirta.ready["http"], *arguments]
    command += ["--token-file", str(tirta.ready_file), "--state", str(tirta.folder / "state")]
    with (tirta.folder / "simulate").open("ab") as log:
        virtual = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=plain_environment())
        try:
            yield
        finally:
            virtual.terminate()
            virtual.wait(60)


def zones(client: Client) -> list[str]:
    return [zone.id for zone in client.zones.list()]


def alarms(client: Client) -> set[str]:
    """Return the codes of the open alarms of the bed."""
    return {alarm.code for alarm in client.alarms.list(open=True) if alarm.subject == f"zone:{BED}"}


def held(client: Client) -> bool:
    proof = client.zones.get(BED).proof
    return proof is not None and proof.held is not None


def reasons(client: Client) -> list[str]:
    """Return the reasons of the bed's last decision."""
    return next((decision.reasons for decision in client.decisions.list(zone=BED)), [])


@pytest.mark.slow
def test_clogged_bed_is_found_out_twice_held_released_and_proved_again(tmp_path: Path) -> None:
    with Tirta(tmp_path, "--speed", SPEED) as tirta, tirta.client() as client:
        with played(tirta, "--fault", "pilot/garden:1=clog:0.7"):
            eventually(lambda: BED in zones(client), "the devices are there")
            client.schedules.create(BED, Irrigation(0.30, 0.31, 500.0, max_seconds=60, soak_s=60))
            eventually(lambda: held(client), "the bed is held", 180)
            eventually(lambda: "disproved" in reasons(client), "the schedule says why it does not water")
            eventually(lambda: alarms(client) == {"clogged", "zone-held"}, "alarms tell it")
        acts = list(client.acts.list(zone=BED, verdict="disproved"))
        assert len(acts) >= 2
        proof = acts[-1].proof
        assert proof is not None
        assert proof.finding == "clogged"
        assert proof.numbers["flow_l_min"] == pytest.approx(3.6, rel=0.1)
        assert proof.sentence.id.startswith("Tidak terbukti: tersumbat: debit 3,6 L/menit")
        assert tirta.run("release", BED, "--why", "emitters cleaned").returncode == 0
        assert not held(client)
        with played(tirta):
            eventually(lambda: list(client.acts.list(zone=BED, verdict="proved")), "an act is proved", 180)
            eventually(lambda: not alarms(client), "no alarm is left")
        released = [entry for entry in client.audit.list() if entry.action == "zone.release"]
        assert [entry.target for entry in released] == [f"zone:{BED}"]
        assert str(released[0].why).endswith("emitters cleaned")
