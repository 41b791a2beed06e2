# SPDX-License-Identifier: Apache-2.0
"""12: a second service on the same data, a second client with ingest's id, and a service that is paused and goes on.

The folder's lock keeps the second service out, also while the first stands still; whose session is taken over says so; a
writer of the journal that another has overtaken is refused by the journal itself.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway.credentials import INGEST
from ingest.journal import JournalConfig, SqliteJournal
from tests.faults.case import Conditions, FaultTest, Findings
from tests.faults.field import Field
from tests.faults.oracle import compare, rows_in_duckdb
from tests.faults.stale_writer import Writer
from tests.servers.tirta import eventually, run_tirta
from tirta.client import Client
from tirta.errors import ServiceAnswer, ServiceUnavailable

__all__ = ["TEST"]

_SPEED: Final = 10.0
_SETTLE_S: Final = 120.0


class _Stranger:
    """Another client under ingest's id, as a second ingest process would be: it comes back whenever it is put out."""

    def __init__(self, data: Path, address: tuple[str, int]) -> None:
        password = json.loads((data / "roles.json").read_text("utf-8"))[INGEST]
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=INGEST, protocol=MQTTProtocolVersion.MQTTv311, clean_session=False
        )
        self._client.username_pw_set(INGEST, password)
        self._address = address
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._insist, name="stranger")

    def __enter__(self) -> _Stranger:
        self._client.connect(*self._address)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ending.set()
        self._thread.join()
        self._client.disconnect()

    def _insist(self) -> None:
        while not self._ending.is_set():
            if self._client.loop(0.05) != mqtt.MQTT_ERR_SUCCESS:
                try:
                    self._client.reconnect()
                except OSError:
                    self._ending.wait(0.05)


def _second_is_refused(here: Field) -> str:
    """Start a second service on the same data, to its end; return the one line that it said, or nothing."""
    ended = run_tirta("up", "--data", here.tirta.data, "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0")
    lines = ended.stderr.strip().splitlines()
    return lines[0] if ended.returncode == 1 and len(lines) == 1 else ""


def _trouble(client: Client) -> str:
    try:
        client.health()
    except ServiceUnavailable as exc:
        return str(exc) if exc.status == 503 else ""
    except ServiceAnswer:
        return ""
    return ""


def _take_over(here: Field) -> str:
    """Take ingest's session until the service says so; then leave it and restart the service, as its words say."""
    with here.tirta.client() as client, _Stranger(here.tirta.data, here.tirta.mqtt):
        said = eventually(lambda: text if "taken over" in (text := _trouble(client)) else "", "/readyz says so", 120.0)
    here.tirta.stop()
    here.tirta.start()
    here.wait_online()
    with here.tirta.client() as client:
        eventually(lambda: not _trouble(client), "the service has its session again", 120.0)
    return said


def _pause(here: Field, seconds: float) -> str:
    """Pause the service with acts under way; return what a second service said meanwhile."""
    process = here.tirta.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    try:
        begun_s = time.monotonic()
        said = _second_is_refused(here)
        time.sleep(max(seconds - (time.monotonic() - begun_s), 0.0))
    finally:
        process.send_signal(signal.SIGCONT)
    return said


def _overtake(folder: Path) -> dict[str, int]:
    """Pause a writer of a journal, let another claim it, and let the first go on; count what the journal took of whom."""
    path = folder / "journal.sqlite"
    with Writer(path, "stale") as stale:
        before = stale.append(100)
        stale.pause()
        with Writer(path, "new") as new:
            taken = new.append(50)
            stale.resume()
            after = stale.append(100)
            taken += new.append(50)
    with closing(SqliteJournal(JournalConfig(path))) as journal:
        owners = [entry.burst.topics[0] for entry in journal.read_from(0, 1, 2**20, 0.0)]
    return {
        "said": sum(word.startswith("at ") for word in (*before, *taken)),
        "stale_rejected": after.count("fenced"),
        "kept": len(owners),
        "kept_of_stale_after": owners[100:].count("stale"),
    }


def _act(client: Client, here: Field) -> None:
    for device in here.beds:
        client.acts.request(f"{device}:1", "irrigate", seconds=60)


def run(conditions: Conditions) -> Findings:
    """Try each of the ways in which two could write."""
    pause_s, beds = conditions.choose(60.0, 4.0), conditions.choose(10, 3)
    with Field(conditions.folder, beds=beds, seed=conditions.seed, speed=_SPEED) as here:
        refusals = [_second_is_refused(here)]
        with here.tirta.client() as client:
            _act(client, here)
        said = _take_over(here)
        with here.tirta.client() as client:
            here.settle(client, _SETTLE_S)
            _act(client, here)
            refusals.append(_pause(here, pause_s))
            begun_s = time.monotonic()
            eventually(lambda: not _trouble(client), "the service works again", 120.0)
            here.wait_online()
            _, left = here.settle(client, _SETTLE_S)
            settled_s = time.monotonic() - begun_s
            without_row, ledger = here.without_row(client), here.acts(client)
        here.cut_power()
        here.tirta.stop()  # in order: what was taken is stored
        here.tirta.start()
        time.sleep(2.0)
        here.tirta.stop()
        counts = compare(here.acked(), rows_in_duckdb(here.tirta.data / "series.duckdb"))
        runs, exec_max = here.runs(), here.exec_max()
    fence = _overtake(conditions.folder)
    numbers: dict[str, Any] = {
        **counts,
        "exec_max": exec_max,
        "runs": len(runs),
        "acts": len(ledger),
        "silently_skipped": without_row,
        "unknown_after_s": round(settled_s, 1),
        "paused_s": pause_s,
        **fence,
    }
    criteria = {
        "a second service is refused in one line": all("another Tirta runs on" in line for line in refusals),
        "a session taken over is told by /readyz": INGEST in said,
        "nothing lost": counts["lost"] == 0,
        "nothing twice": counts["dup"] == 0,
        "no act twice": exec_max == 1,
        "every act has its end": not left,
        "no moment without a row": without_row == 0,
        "the overtaken writer is refused each time": fence["stale_rejected"] == 100 and fence["kept_of_stale_after"] == 0,
        "what the journal took it has": fence["kept"] == fence["said"] == 200,
    }
    return Findings(numbers, criteria)


TEST = FaultTest(12, "two services, a stolen session, a paused one", run)
