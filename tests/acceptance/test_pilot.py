# SPDX-License-Identifier: Apache-2.0
"""The main job: the simulated pilot waters and feeds by itself, is read back over HTTP, and survives kill -9.

What the platform says is held against what the virtual devices wrote down with their own eyes.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import duckdb
import httpx2
import pytest

from tests.servers.tirta import Tirta, eventually, series
from tirta.client import Act, ActState, Client

BED, POND = "pilot:garden:1", "pilot:pond:1"
DEVICES = ("pilot:garden", "pilot:pond")
OPEN = {"planned", "held", "sent", "accepted", "running", "unknown"}


def acts(client: Client, zone: str | None = None, state: ActState | None = None) -> list[Act]:
    """Return acts, the latest planned first, but for what only stops others."""
    return [act for act in client.acts.list(zone=zone, state=state) if act.action != "stop"]


def unsettled(client: Client) -> list[tuple[str, str]]:
    """Return acts that are not at their end."""
    return [(act.id, act.state) for act in acts(client) if act.state in OPEN]


def eaten(client: Client) -> float:
    """Return by how much the hopper has become lighter. [g]"""
    hopper = [value for _, value in series(client, POND, "hopper_mass")]
    return hopper[0] - hopper[-1]


def stored_numbers(tirta: Tirta, device: str) -> Counter[tuple[int, int]]:
    """Count the rows of each (boot, seq) in the store's file; the service must be stopped."""
    site, _, name = device.partition(":")
    with duckdb.connect(str(tirta.data / "series.duckdb"), read_only=True) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables() WHERE starts_with(table_name, 'kind_')").fetchall()
        found: Counter[tuple[int, int]] = Counter()
        for (table,) in tables:
            query = f'SELECT boot, seq FROM "{table}" WHERE device = (SELECT id FROM device WHERE site = ? AND name = ?)'
            found.update(connection.execute(query, [site, name]).fetchall())
    return found


def acknowledged(tirta: Tirta, device: str) -> set[tuple[int, int]]:
    """Return every (boot, seq) that the device saw acknowledged."""
    pairs = (line.split() for line in tirta.oracle(device, "acked"))
    return {(int(boot), int(seq)) for boot, seq in pairs}


def begun(tirta: Tirta, device: str) -> Counter[str]:
    """Count how often the device truly began each act."""
    lines = map(json.loads, tirta.oracle(device, "acts"))
    return Counter(line["id"] for line in lines if line["event"] == "begin")


def assert_nothing_lost_nothing_twice(tirta: Tirta) -> None:
    """Hold the store's file and the ledger against the devices' own records; the service must be stopped."""
    for device in DEVICES:
        stored, seen = stored_numbers(tirta, device), acknowledged(tirta, device)
        assert len(seen) > 15, device
        assert seen - stored.keys() == set(), f"{device}: acknowledged and lost"
        assert [number for number, count in stored.items() if count > 1] == [], f"{device}: stored twice"
        assert [act for act, count in begun(tirta, device).items() if count > 1] == [], f"{device}: done twice"


@pytest.mark.slow
def test_up_demo_at_speed_waters_feeds_and_survives_kill_9(tmp_path: Path) -> None:
    with Tirta(tmp_path, "--demo", "--speed", "600") as tirta:
        with tirta.client() as client:
            eventually(lambda: acts(client, BED, state="done"), "the bed is watered")
            fed = eventually(lambda: acts(client, POND, state="done"), "the pond has its first meal", 120)
            moisture = [value for _, value in series(client, BED, "soil_moisture")]
            assert moisture[0] < 0.20 < 0.25 < max(moisture)
            eventually(lambda: eaten(client) == pytest.approx(400.0, abs=20.0), "the hopper is lighter by the meal")
            assert fed[0].result.grams == pytest.approx(400.0, abs=1.0)
            assert_decisions_tell_why(client)
        kept = tirta.broker, tirta.devices
        assert None not in kept
        tirta.kill()
        assert (tirta.broker, tirta.devices) == kept, "they outlive a killed Tirta"
        tirta.start()
        assert (tirta.broker, tirta.devices) == kept, "the next start takes them over"
        with tirta.client() as client:
            eventually(lambda: len(acts(client, POND, state="done")) >= 2, "the pond has its second meal", 120)
            eventually(lambda: not unsettled(client), "the ledger is settled")
            done = {act.id for act in acts(client, state="done")}
            assert done == {act for device in DEVICES for act in begun(tirta, device)}
            assert list(client.quarantine.list()) == []
        assert tirta.stop() == 0
        assert (tirta.broker, tirta.devices) == (None, None), "SIGTERM ends them too"
        assert not tirta.ready_file.exists()
        hand_over_what_the_broker_holds(tirta)
        assert_nothing_lost_nothing_twice(tirta)


def assert_decisions_tell_why(client: Client) -> None:
    """Each act of the rules has a decision with its reasons and what it saw."""
    decisions = list(client.decisions.list())
    by_act = {decision.act: decision for decision in decisions if decision.act}
    for act in acts(client):
        decision = by_act[act.id]
        assert decision.acted
        assert decision.zone == act.zone
        assert decision.reasons
        assert decision.inputs
        assert decision.sentence.en
        assert decision.sentence.id
    assert any((decision.inputs.get("soil_moisture") or 1.0) < 0.20 for decision in by_act.values())
    assert any(not decision.acted for decision in decisions), "to do nothing is a decision too"


def taken(tirta: Tirta) -> str:
    """Return how many messages ingest has journalled since its start, as `/metrics` counts them."""
    bearer = {"authorization": f"Bearer {tirta.ready['token']}"}
    text = httpx2.get(f"{tirta.ready['http']}/metrics", headers=bearer, trust_env=False).text
    return next(line for line in text.splitlines() if line.startswith("tirta_ingest_messages_total "))


def hand_over_what_the_broker_holds(tirta: Tirta) -> None:
    """Start once more without the devices: what the broker had acknowledged at the end is taken from its queue."""
    tirta.arguments = ()
    tirta.start()
    with tirta.client() as client:
        eventually(lambda: client.health().status == "ok", "all is ready")
    # The broker hands over what it holds at once when the session is there; then the counter rests.
    seen, since_s = taken(tirta), time.monotonic()
    while time.monotonic() - since_s < 2.0:
        time.sleep(0.1)
        if (now := taken(tirta)) != seen:
            seen, since_s = now, time.monotonic()
    assert tirta.stop() == 0


def under_way(tirta: Tirta, device: str) -> set[str]:
    """Return acts that the device began and has not ended."""
    lines = [json.loads(line) for line in tirta.oracle(device, "acts")]
    return {line["id"] for line in lines} - {line["id"] for line in lines if line["event"] == "end"}


@pytest.mark.slow
def test_up_demo_killed_again_and_again_settles_each_act_once(tmp_path: Path) -> None:
    moments = random.Random(7)
    with Tirta(tmp_path, "--demo", "--speed", "120") as tirta:
        eventually(lambda: under_way(tirta, "pilot:garden"), "the bed is being watered")
        for _ in range(4):
            tirta.kill()
            time.sleep(moments.uniform(0.0, 1.0))
            tirta.start()
            time.sleep(moments.uniform(0.0, 2.0))
        with tirta.client() as client:
            eventually(lambda: not unsettled(client), "the ledger is settled", 60)
            first = acts(client, BED)[-1]
            assert first.state == "done"
            assert first.result.seconds == pytest.approx(first.amount.seconds, abs=2.0)
            assert {act.id for act in acts(client)} >= begun(tirta, "pilot:garden").keys()
        assert tirta.stop() == 0
        hand_over_what_the_broker_holds(tirta)
        assert_nothing_lost_nothing_twice(tirta)


@pytest.mark.slow
def test_up_demo_after_a_power_cut_of_everything_loses_nothing_and_repeats_no_act(tmp_path: Path) -> None:
    with Tirta(tmp_path, "--demo", "--speed", "120") as tirta:
        (cut_short,) = eventually(lambda: under_way(tirta, "pilot:garden"), "the bed is being watered")
        time.sleep(1.0)
        tirta.kill()
        for child in (tirta.broker, tirta.devices):
            assert child is not None
            os.kill(child.pid, signal.SIGKILL)
        tirta.start()
        with tirta.client() as client:
            eventually(
                lambda: cut_short in {act.id for act in acts(client, state="indeterminate")},
                "the act that was cut short is settled, its end unknown",
                30,
            )
            eventually(lambda: not unsettled(client), "the ledger is settled", 60)
            eventually(lambda: all({(1, 0), (2, 15)} <= acknowledged(tirta, one) for one in DEVICES), "the devices go on")
        assert tirta.stop() == 0
        # A device that was back before Tirta had told the broker again what it wants sent to nobody; what it keeps it sends at
        # its next connection.
        tirta.start()
        eventually(lambda: all((3, 5) in acknowledged(tirta, one) for one in DEVICES), "the devices send what they kept")
        assert tirta.stop() == 0
        hand_over_what_the_broker_holds(tirta)
        assert_nothing_lost_nothing_twice(tirta)
