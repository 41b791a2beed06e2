# SPDX-License-Identifier: Apache-2.0
"""What devices saw and what a store holds, to be compared; nothing of the product is used for either.

`Fleet` publishes with a foreign MQTT client and notes (device, boot, seq) when the broker has acknowledged it;
`rows_in_duckdb` reads the store's file with DuckDB itself. A device that does not number its records counts them all the same,
by its meter (`litres_total`), which is how the oracle knows them; for their boot stands -1. LOST = acknowledged and not stored,
DUP = stored more than once.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import duckdb
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

__all__ = ["Device", "Fleet", "Position", "compare", "rows_in_duckdb", "telemetry"]

Position = tuple[str, int, int]  # device's user name, boot, seq

_INFLIGHT = 400
_PER_MESSAGE = 200  # records in one payload when an outbox is emptied
_BEHIND_MAX = 4_000  # published and not yet acknowledged, of one device


def telemetry(boot: int, seq: int) -> dict[str, object]:
    """Make one record of a bed, measured now; with boot -1 it tells its number by the meter alone."""
    numbers = {"boot": boot, "seq": seq} if boot >= 0 else {"litres_total": float(seq)}
    return {
        "ts": time.time_ns() // 1_000_000,
        **numbers,
        "soil_moisture": 0.2 + (seq % 100) / 1000,
        "soil_temperature": 27.5,
        "flow": 0.0,
    }


class Device:
    """One device: counts its records, notes what was acknowledged, and with an outbox sends again what is not stored."""

    def __init__(
        self,
        username: str,
        password: str,
        host: str,
        port: int,
        *,
        outbox: bool = False,
        qos: int = 1,
        shed_each: int | None = None,
        numbered: bool = True,
    ) -> None:
        self.username = username
        self.boot = 1 if numbered else -1
        self.seq = 0
        self.acked: dict[tuple[int, int], float] = {}  # and when, in seconds since the Unix epoch
        self._last_ts = 0
        self.sent = 0
        self.refused = 0
        self._qos = qos
        self._shed_each = shed_each
        self._address = (host, port)
        self._outbox: dict[int, bytes] | None = {} if outbox else None
        self._lock = threading.Lock()
        self._again = threading.Event()
        self._waiting: dict[int, tuple[int, ...]] = {}  # message id -> numbers
        self._early: set[int] = set()  # acknowledged before `publish` returned
        self._topic = f"tirta/v1/{username}/telemetry"
        self._stored_topic = f"tirta/v1/{username}/stored"
        # A session of its own on the broker: what the client library holds in flight goes on after a reconnect.
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=username, protocol=MQTTProtocolVersion.MQTTv311, clean_session=False
        )
        self._client.username_pw_set(username, password)
        self._client.max_inflight_messages_set(_INFLIGHT)
        self._client.max_queued_messages_set(0)
        self._client.reconnect_delay_set(1, 2)
        self._client.on_publish = self._on_publish
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message

    def open(self) -> None:
        """Connect, now and after each loss."""
        self._client.connect_async(*self._address, keepalive=20)
        self._client.loop_start()

    def close(self) -> None:
        """Disconnect; what was not acknowledged is nobody's."""
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def connected(self) -> bool:
        """Whether the broker has greeted it."""
        return self._client.is_connected()

    @property
    def unacknowledged(self) -> int:
        """Messages that wait for the broker's acknowledgement."""
        with self._lock:
            return len(self._waiting)

    @property
    def held(self) -> int:
        """Records in the outbox."""
        with self._lock:
            return len(self._outbox or ())

    def send_next(self) -> bool:
        """Measure and publish; False where too many wait for their acknowledgement already."""
        if self.unacknowledged >= _BEHIND_MAX:
            return False
        seq, self.seq = self.seq, self.seq + 1
        record = telemetry(self.boot, seq)
        if self.boot < 0:  # told apart by their time alone
            self._last_ts = record["ts"] = max(int(str(record["ts"])), self._last_ts + 1)
        payload = json.dumps(record).encode()
        if self._outbox is not None:
            with self._lock:
                self._outbox[seq] = payload
        if not self.sheds(seq):
            self._publish(payload, (seq,))
        self.sent += 1
        return True

    def sheds(self, seq: int) -> bool:
        """Whether this number is one that is lost on the way; never the first, nor two in a row."""
        return self._shed_each is not None and seq % self._shed_each == 1

    def send_again(self) -> None:
        """After a reconnect: everything that no `stored` has named, oldest first, in arrays."""
        if self._outbox is None or not self._again.is_set():
            return
        self._again.clear()
        with self._lock:
            held = sorted(self._outbox.items())
        for start in range(0, len(held), _PER_MESSAGE):
            part = held[start : start + _PER_MESSAGE]
            self._publish(b"[" + b",".join(record for _, record in part) + b"]", tuple(seq for seq, _ in part))

    def come_back(self) -> None:
        """Send again as after a reconnect."""
        self._again.set()

    def publish_raw(self, payload: bytes) -> None:
        """Publish any bytes as telemetry."""
        self._publish(payload, ())

    def _publish(self, payload: bytes, numbers: tuple[int, ...]) -> None:
        if self._qos == 0:
            self._client.publish(self._topic, payload, qos=0)
            return
        mid = self._client.publish(self._topic, payload, qos=1).mid
        with self._lock:
            if mid in self._early:
                self._early.discard(mid)
                self._note(numbers)
            else:
                self._waiting[mid] = numbers

    def _on_publish(self, client: object, userdata: object, mid: int, reason: object, properties: object) -> None:
        with self._lock:
            numbers = self._waiting.pop(mid, None)
            if numbers is None:
                if self._qos:
                    self._early.add(mid)
            else:
                self._note(numbers)

    def _note(self, numbers: tuple[int, ...]) -> None:
        now_s = time.time()
        for seq in numbers:
            self.acked.setdefault((self.boot, seq), now_s)

    def _on_connect(self, client: mqtt.Client, userdata: object, flags: object, reason: object, properties: object) -> None:
        client.subscribe(self._stored_topic, qos=0)
        self._again.set()

    def _on_message(self, client: object, userdata: object, message: mqtt.MQTTMessage) -> None:
        said = json.loads(message.payload)
        if self._outbox is not None and said["boot"] == self.boot:
            with self._lock:
                for seq in [seq for seq in self._outbox if seq <= said["seq"]]:
                    del self._outbox[seq]


class Fleet:
    """Devices that publish at a common rate from a thread of their own; a context manager that connects them.

    Parameters
    ----------
    credentials : mapping
        User name -> password.
    outbox : bool
        Whether they keep what is not stored and send it again.
    qos : int
        Of what they publish.
    shed_each : int, optional
        Each so-manieth record is measured and lost on the way, as with QoS 0 on a bad network.
    numbered : bool
        Whether they say their records' numbers.
    """

    def __init__(
        self,
        credentials: Mapping[str, str],
        host: str,
        port: int,
        *,
        outbox: bool = False,
        qos: int = 1,
        shed_each: int | None = None,
        numbered: bool = True,
    ) -> None:
        self.devices = [
            Device(name, secret, host, port, outbox=outbox, qos=qos, shed_each=shed_each, numbered=numbered)
            for name, secret in credentials.items()
        ]
        self._rate = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="fleet")

    def __enter__(self) -> Fleet:
        for device in self.devices:
            device.open()
        end_s = time.monotonic() + 20
        while not all(device.connected for device in self.devices):
            assert time.monotonic() < end_s, "the devices do not come in at the broker"
            time.sleep(0.02)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        for device in self.devices:
            device.close()

    def run_at(self, rate: float) -> None:
        """Publish so many messages a second from now on, of all devices together."""
        self._rate = rate

    @property
    def acked(self) -> set[Position]:
        """Everything that the broker has acknowledged."""
        return {(device.username, *number) for device in self.devices for number in list(device.acked)}

    @property
    def acked_at(self) -> dict[Position, float]:
        """When the broker acknowledged what. [s since the Unix epoch]"""
        return {(device.username, *number): at for device in self.devices for number, at in list(device.acked.items())}

    @property
    def sent(self) -> int:
        """Records measured."""
        return sum(device.sent for device in self.devices)

    @property
    def unacknowledged(self) -> int:
        """Messages without an acknowledgement."""
        return sum(device.unacknowledged for device in self.devices)

    def publish(self, count: int, timeout_s: float = 120.0) -> None:
        """Publish so many messages as fast as the broker takes them, and wait for its acknowledgements."""
        end_s = time.monotonic() + timeout_s
        done = 0
        while done < count:
            before = done
            for device in self.devices:
                done += done < count and device.send_next()
            if done == before:
                time.sleep(0.002)
            assert time.monotonic() < end_s, f"only {done} of {count} published in {timeout_s:g} s"
        self.wait_acknowledged(end_s - time.monotonic())

    def wait_acknowledged(self, timeout_s: float = 30.0) -> None:
        """Wait until the broker has acknowledged everything."""
        end_s = time.monotonic() + timeout_s
        while self.unacknowledged:
            assert time.monotonic() < end_s, f"{self.unacknowledged} messages not acknowledged in {timeout_s:g} s"
            time.sleep(0.02)

    def wait_stored(self, timeout_s: float = 60.0) -> None:
        """Wait until every outbox is empty: the platform has said `stored` of everything."""
        end_s = time.monotonic() + timeout_s
        while any(device.held for device in self.devices):
            held = {device.username: device.held for device in self.devices}
            assert time.monotonic() < end_s, f"still held after {timeout_s:g} s: {held}"
            time.sleep(0.05)

    def _work(self) -> None:
        began_s, done, place, rate = time.monotonic(), 0, 0, 0.0
        while not self._stop.wait(0.005):
            for device in self.devices:
                device.send_again()
            if self._rate != rate:
                began_s, done, rate = time.monotonic(), 0, self._rate
            due = int((time.monotonic() - began_s) * rate) - done
            for _ in range(min(due, 2000)):
                self.devices[place % len(self.devices)].send_next()
                place += 1
                done += 1


def rows_in_duckdb(path: Path) -> Counter[Position]:
    """Read how often each record stands in the store's file."""
    found: Counter[Position] = Counter()
    with duckdb.connect(str(path), read_only=True) as db:
        columns = db.execute("select table_name, list(column_name) from duckdb_columns() group by all").fetchall()
        for table, names in columns:
            if "kind_" not in table:
                continue
            number = "coalesce(t.seq, t.litres_total::bigint)" if "litres_total" in names else "t.seq"
            question = (
                f"select d.site, d.name, coalesce(t.boot, -1), {number}, count(*) "
                f'from "{table}" t join device d on d.id = t.device group by all'
            )
            for site, name, boot, seq, count in db.execute(question).fetchall():
                found[f"{site}/{name}", boot, seq] += count
    return found


def compare(acked: Iterable[Position], stored: Mapping[Position, int]) -> dict[str, int]:
    """Count what was acknowledged and is not stored, and what is stored too often."""
    acked = set(acked)
    return {
        "acked": len(acked),
        "stored": len(stored),
        "lost": len(acked - stored.keys()),
        "dup": sum(count - 1 for count in stored.values()),
    }
