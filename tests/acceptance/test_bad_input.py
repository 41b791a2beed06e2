# SPDX-License-Identifier: Apache-2.0
"""Whatever a device sends is kept with its reason, disturbs nobody, and the next good message is stored."""

from __future__ import annotations

import json
import time

import cbor2
import pytest
from paho.mqtt.enums import MQTTProtocolVersion

from tests.servers.bench import BenchDevice, add_device
from tests.servers.tirta import Tirta, eventually, series
from tirta.client import Client, Quarantined

BAD = {
    "broken JSON": (b'{"soil_moisture": 0.3', "malformed"),
    "no text": (b"\xff\xfe\xfd", "malformed"),
    "nothing": (b"", "malformed"),
    "unknown quantity": (b'{"soil_moistur": 0.3}', "unknown-quantity"),
    "another kind's quantity": (b'{"hopper_mass": 3}', "not-in-kind"),
    "1 MB": (b'{"soil_moisture": 0.3' + b" " * 2**20 + b"}", "too-large"),
    "NaN": (b'{"soil_moisture": NaN}', "out-of-range"),
    "NaN in CBOR": (cbor2.dumps({"soil_moisture": float("nan")}), "out-of-range"),
    "a string for a number": (b'{"soil_moisture": "0.3"}', "wrong-type"),
    "outside its range": (b'{"soil_moisture": 7}', "out-of-range"),
    "beyond every double": (b'{"soil_moisture": 1e999}', "out-of-range"),
    "in the future": (json.dumps({"ts": int(time.time() * 1000) + 25 * 3600_000, "soil_moisture": 0.3}).encode(), "ts-ahead"),
    "seconds for milliseconds": (json.dumps({"ts": int(time.time()), "soil_moisture": 0.3}).encode(), "ts-behind"),
    "depth 10,000": (b'{"soil_moisture":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "too-deep"),
    "depth 10,000, unclosed": (b"[" * 10_000, "too-deep"),
    "depth 10,000 in CBOR": (b"\x81" * 10_000 + b"\x00", "too-deep"),
    "501 records": (json.dumps([{"soil_moisture": 0.3}] * 501).encode(), "too-many-records"),
    "no record": (b'"wet"', "not-a-record"),
    "no such zone": (b'{"zone": 65, "soil_moisture": 0.3}', "bad-zone"),
    "a number below 0": (b'{"boot": 1, "seq": -1, "soil_moisture": 0.3}', "bad-seq"),
}


def kept(client: Client, device: str) -> list[Quarantined]:
    """Return what is in quarantine of a device, newest first."""
    return list(client.quarantine.list(site="bench", device=device))


@pytest.fixture(scope="module")
def spoiled(tirta: Tirta) -> list[Quarantined]:
    """What was kept after a device sent every bad sort and a good message after each."""
    with tirta.client() as client:
        with BenchDevice(tirta, add_device(client, "spoiler")) as device:
            for i, (payload, _) in enumerate(BAD.values()):
                device.publish(payload)
                device.publish({"soil_moisture": 0.1 + 0.001 * i})
        eventually(lambda: len(kept(client, "spoiler")) >= len(BAD), "all are kept")
        eventually(lambda: len(series(client, "bench:spoiler:1", "soil_moisture")) >= len(BAD), "all good ones are stored")
        return kept(client, "spoiler")


@pytest.mark.parametrize("sort", BAD)
def test_telemetry_of_a_bad_sort_is_quarantined_and_the_next_good_message_is_stored(
    client: Client, spoiled: list[Quarantined], sort: str
) -> None:
    i, (payload, reason) = list(BAD).index(sort), BAD[sort]
    assert len(spoiled) == len(BAD)
    assert (reason, len(payload)) in {(one.reason, one.size) for one in spoiled}
    entry = next(one for one in spoiled if (one.reason, one.size) == (reason, len(payload)))
    assert entry.detail
    shown = client.quarantine.get(entry.id)
    assert shown.payload_text.startswith(payload[:20].decode("utf-8", "replace"))
    assert len(shown.payload_text) <= (4096 if len(payload) > 65_536 else 65_536)
    assert series(client, "bench:spoiler:1", "soil_moisture")[i][1] == pytest.approx(0.1 + 0.001 * i)


def test_one_bad_record_in_an_array_is_quarantined_and_its_neighbours_are_stored(tirta: Tirta, client: Client) -> None:
    now_ms = int(time.time() * 1000)
    records = [{"ts": now_ms - i, "boot": 1, "seq": i, "soil_moisture": 0.2 if i != 1 else "wet"} for i in range(3)]
    with BenchDevice(tirta, add_device(client, "neighbours")) as device:
        device.publish(records)
        eventually(lambda: len(series(client, "bench:neighbours:1", "soil_moisture")) == 2, "two are stored")
        eventually(lambda: [entry.reason for entry in kept(client, "neighbours")] == ["wrong-type"], "one is kept")


def test_a_misspelt_quantity_is_told_to_the_device_with_a_hint_and_its_number(tirta: Tirta, client: Client) -> None:
    with BenchDevice(tirta, add_device(client, "misspelt")) as device:
        device.listen()
        device.publish({"boot": 1, "seq": 0, "soil_moistur": 0.3})
        told = eventually(lambda: device.said("error"), "the device is told")
        assert told[0]["code"] == "unknown-quantity"
        assert "did you mean soil_moisture" in told[0]["detail"]
        assert told[0]["seq"] == 0
        # A numbered record in quarantine has arrived: the device may forget it.
        eventually(lambda: {"boot": 1, "seq": 0} in device.said("stored"), "it is told that this is stored")


@pytest.mark.parametrize("protocol", [MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5])
def test_a_publish_to_another_devices_topic_is_not_delivered_and_disturbs_nobody(
    tirta: Tirta, client: Client, protocol: MQTTProtocolVersion
) -> None:
    victim_login = add_device(client, f"victim-{protocol}")
    intruder_login = add_device(client, f"intruder-{protocol}")
    zone = f"bench:victim-{protocol}:1"
    with BenchDevice(tirta, victim_login) as victim, BenchDevice(tirta, intruder_login, protocol) as intruder:
        victim.listen()
        intruder.listen("#", "tirta/#", f"{victim.base}/command", "$SYS/#")
        for channel in ("telemetry", "status", "ack", "reported", "command", "config", "stored", "error"):
            intruder.publish({"soil_moisture": 0.44, "online": False}, topic=f"{victim.base}/{channel}", retain=True)
        intruder.publish({"soil_moisture": 0.44}, topic=f"{victim.base}/telemetry/more")
        victim.publish({"soil_moisture": 0.22})
        intruder.publish({"soil_moisture": 0.33})
        eventually(lambda: series(client, zone, "soil_moisture"), "the victim's own is stored")
        eventually(lambda: series(client, zone.replace("victim", "intruder"), "soil_moisture"), "and the intruder's own")
        assert [value for _, value in series(client, zone, "soil_moisture")] == [0.22]
        assert (victim.disconnects, intruder.disconnects) == (0, 0)
        assert [topic for topic, _ in intruder.heard if not topic.startswith(f"{intruder.base}/")] == []
        assert all(payload != {"soil_moisture": 0.44, "online": False} for _, payload in victim.heard)
        assert kept(client, f"victim-{protocol}") == []


def test_a_device_cannot_settle_anothers_act_nor_stop_the_service_by_strange_words(tirta: Tirta, client: Client) -> None:
    worker, liar = add_device(client, "worker"), add_device(client, "liar")
    client.zones.change("bench:worker:1", flow_l_min=10.0)
    with BenchDevice(tirta, worker) as honest, BenchDevice(tirta, liar) as other:
        honest.listen()
        honest.publish({"online": True, "kind": "irrigation-controller", "boot": 1, "zones": 1}, channel="status", retain=True)
        eventually(lambda: client.devices.get("bench:worker").online, "the device is online")
        act = client.acts.request("bench:worker:1", "irrigate", seconds=30)
        eventually(lambda: [told for told in honest.said("command") if told["id"] == act.id], "the command arrives")
        other.publish({"id": act.id, "n": 1, "state": "done", "result": {"seconds": 30}}, channel="ack")
        for strange in (b"", b"{", b"[]", b"null", b"[" * 10_000, b"\xff" * 100, b"1" * 2**17, b'{"id": 5, "state": "done"}'):
            for channel in ("ack", "status", "reported"):
                other.publish(strange, channel=channel)
        other.publish({"id": "x" * 5000, "n": -1, "state": "flying", "ts": 1e300}, channel="ack")
        time.sleep(1.0)
        assert client.acts.get(act.id).state == "sent"
        honest.publish({"id": act.id, "n": act.n or 1, "state": "done", "result": {"seconds": 30.0}}, channel="ack")
        eventually(lambda: client.acts.get(act.id).state == "done", "its own word counts")
        assert client.health().status == "ok"


def test_a_packet_beyond_the_brokers_bound_ends_only_its_own_connection(tirta: Tirta, client: Client) -> None:
    with BenchDevice(tirta, add_device(client, "calm")) as calm, BenchDevice(tirta, add_device(client, "huge")) as huge:
        huge.offer(b" " * (3 * 2**20))
        eventually(lambda: huge.disconnects, "it is put out")
        calm.publish({"soil_moisture": 0.3})
        eventually(lambda: series(client, "bench:calm:1", "soil_moisture"), "the other is stored")
        assert calm.disconnects == 0
        assert client.health().status == "ok"


def test_a_stranger_or_a_wrong_password_is_refused_by_the_broker(tirta: Tirta, client: Client) -> None:
    username, _ = add_device(client, "guarded")
    for login in ((username, "guess"), (username, ""), ("bench/nobody", "x"), ("tirta-control", ""), ("", "")):
        with BenchDevice(tirta, login) as device:
            assert device.refused
            assert not device.connected
