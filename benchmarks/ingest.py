# SPDX-License-Identifier: Apache-2.0
"""How fast measurements become durable, against a bare receiver on the same broker in the same run.

    python -m benchmarks.ingest --json [--store duckdb|influxdb] [--messages N] [--rounds N]

In turn, several rounds: (a) `benchmarks.bare` receives, decodes and acknowledges, keeping nothing; (b) Tirta's whole ingest
brings the same messages into the store. Publisher, broker and receiver are processes of their own on the same processors.
Last, the whole `tirta up` takes the same flood while somebody asks for 1,000 zones and a series in turn: `api_p99_ms`.
`durable_msgs_s` ends when the last row can be read back; `lost` and `duplicated` are counted in the store afterwards.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.publisher import payload
from benchmarks.served import serve_tirta
from gateway.broker_config import BrokerFiles, BrokerLimits, acl_text, configuration_text, passwords_text
from gateway.clock import WallClock
from gateway.credentials import INGEST, Credential, hash_password, new_credential
from gateway.link import Link, LinkConfig
from gateway.quantities import load_catalogue
from gateway.topics import Address
from ingest.decode import BurstDecoder
from ingest.devices import DeviceTable
from ingest.feed import LiveFeed
from ingest.journal import JournalConfig, SqliteJournal
from ingest.judge import Judge
from ingest.latest import LatestState
from ingest.notes import Notes
from ingest.pipeline import Ingest, IngestConfig
from ingest.progress import Progress
from ingest.quarantine import Quarantine, QuarantineConfig
from ingest.sequences import Sequences
from ingest.store.duckdb_store import DuckDBConfig, DuckDBStore
from ingest.store.influx_store import InfluxConfig, InfluxStore
from ingest.store.protocol import SeriesStore

__all__ = ["main"]

_DEVICES = 20
_THIS_CENTURY = "&start=2000-01-01T00:00:00Z&end=2100-01-01T00:00:00Z"


def main() -> None:
    """Run the benchmark, or, started by itself, the receiver that is measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON line only")
    parser.add_argument("--store", choices=("duckdb", "influxdb"), default="duckdb")
    parser.add_argument("--messages", type=int, default=200_000, help="messages a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--receiver", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.receiver:
        import uvloop

        uvloop.run(_receive(json.loads(sys.stdin.readline())))
        return
    result = _measure(options.store, options.messages, options.rounds, quiet=options.json)
    if options.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name:>24} {value}" for name, value in result.items()))


def _measure(store: str, messages: int, rounds: int, *, quiet: bool) -> dict[str, Any]:
    raw, durable, cpu, bare_cpu, server_cpu, rss = [], [], [], [], [], []
    lost = duplicated = 0
    users = [new_credential(f"bench/device-{i}") for i in range(_DEVICES)]
    role = new_credential(INGEST)
    messages = messages // _DEVICES * _DEVICES
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tirta-bench-"))
        port = stack.enter_context(_broker(Path(folder), [*users, role]))
        target = stack.enter_context(_influx(Path(folder))) if store == "influxdb" else {}
        for number in range(rounds):
            plan = {"host": "127.0.0.1", "port": port, "user": role.username, "password": role.password}
            plan |= {"messages": messages, "store": store, "folder": f"{folder}/round-{number}", "target": target}
            bare = _round("benchmarks.bare", plan, users, 2 * number)
            raw.append(messages / (bare["ended"] - bare["began"]))
            bare_cpu.append(bare["cpu_s"] / messages * 1e6)
            before = _server_cpu_s()
            whole = _round("benchmarks.ingest", plan, users, 2 * number + 1)
            server_cpu.append((_server_cpu_s() - before) / messages * 1e6)
            durable.append((messages - whole["lost"]) / (whole["ended"] - whole["began"]))
            cpu.append(whole["cpu_s"] / messages * 1e6)
            rss.append(whole["rss_mb"])
            lost += whole["lost"]
            duplicated += whole["duplicated"]
            if not quiet:
                print(f"round {number + 1}: bare {raw[-1]:,.0f}/s, durable {durable[-1]:,.0f}/s", file=sys.stderr)
    return {
        "store": store,
        "messages": messages,
        "rounds": rounds,
        "payload_bytes": len(payload(time.time_ns() // 1_000_000, 1, 100)),
        "raw_msgs_s": round(statistics.median(raw)),
        "durable_msgs_s": round(statistics.median(durable)),
        "ratio": round(statistics.median(d / r for d, r in zip(durable, raw, strict=True)), 3),
        "cpu_s_per_million": round(statistics.median(cpu), 1),
        "raw_cpu_s_per_million": round(statistics.median(bare_cpu), 1),
        **({"influxd_cpu_s_per_million": round(statistics.median(server_cpu), 1)} if store == "influxdb" else {}),
        "lost": lost,
        "duplicated": duplicated,
        "rss_mb": round(max(rss)),
        **_api_under_load(messages),
    }


def _api_under_load(messages: int) -> dict[str, float]:
    """Ask the API in turn for 1,000 zones and a series while `tirta up` is flooded; return the median and p99. [ms]"""
    paths = (
        "/api/v1/zones?limit=1000",
        "/api/v1/zones/bench:device-0:1/series?quantities=soil_moisture&every=5m" + _THIS_CENTURY,
    )
    times: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="tirta-bench-") as folder,
        serve_tirta(Path(folder), devices=_DEVICES, zones=1000 // _DEVICES) as served,
    ):
        connection = served.connect()
        for path in paths:
            served.ask(connection, "GET", path)
        with _process([sys.executable, "-m", "benchmarks.publisher"]) as publisher:
            _send(publisher, _publishing("127.0.0.1", served.mqtt_port, served.users, messages, 1))
            _expect_ready(publisher)
            _send(publisher, "go")
            while publisher.poll() is None:
                times += [served.ask(connection, "GET", path)[0] for path in paths]
                time.sleep(0.05)
    parts = statistics.quantiles(times, n=100, method="inclusive")
    return {"api_p50_ms": round(parts[49], 1), "api_p99_ms": round(parts[98], 1), "api_requests": len(times)}


def _publishing(host: str, port: int, users: list[Credential], messages: int, boot: int) -> dict[str, Any]:
    """Return a plan for the publisher."""
    plan: dict[str, Any] = {"host": host, "port": port, "messages": messages, "boot": boot}
    return plan | {"users": [[u.username, u.password] for u in users], "start_ms": time.time_ns() // 1_000_000}


def _round(module: str, plan: dict[str, Any], users: list[Credential], boot: int) -> dict[str, Any]:
    """Run one receiver and one publisher; return what the receiver saw and when the publisher began."""
    arguments = [sys.executable, "-m", module] + (["--receiver"] if module == "benchmarks.ingest" else [])
    publishing = _publishing(plan["host"], plan["port"], users, plan["messages"], boot)
    with _process(arguments) as receiver, _process([sys.executable, "-m", "benchmarks.publisher"]) as publisher:
        _send(publisher, publishing)
        _expect_ready(publisher)
        _send(receiver, plan)
        _expect_ready(receiver)
        _send(publisher, "go")
        seen: dict[str, Any] = json.loads(_line(receiver))
        return {**seen, "began": json.loads(_line(publisher))["began"]}


@contextlib.contextmanager
def _process(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
        process.wait(30)
    finally:
        process.kill()
        process.communicate()


def _send(process: subprocess.Popen[str], value: object) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(value) + "\n")
    process.stdin.flush()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _expect_ready(process: subprocess.Popen[str]) -> None:
    answer = _line(process).strip()
    if answer != "ready":
        raise SystemExit(f"a process of the benchmark did not start: {answer!r}")


@contextlib.contextmanager
def _broker(folder: Path, users: list[Credential]) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    files = BrokerFiles(folder / "broker")
    files.store.mkdir(parents=True)
    files.configuration.write_text(
        configuration_text(
            files, host="127.0.0.1", port=port, limits=BrokerLimits(), log=None, user=psutil.Process().username()
        )
    )
    files.passwords.write_text(passwords_text({user.username: hash_password(user.password) for user in users}))
    files.acl.write_text(acl_text())
    for path in (files.configuration, files.passwords, files.acl):
        path.chmod(0o600)
    with (folder / "broker.log").open("w") as log:
        process = subprocess.Popen(["mosquitto", "-c", str(files.configuration)], stderr=log)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def _influx(folder: Path) -> Iterator[dict[str, str]]:
    from tests.servers.influx import find_influxd, running_influxd

    (folder / "influx").mkdir()
    with running_influxd(find_influxd(), folder / "influx") as server:
        yield {"url": server.url, "org": server.org, "bucket": server.bucket, "token": server.token}


def _server_cpu_s() -> float:
    """Processor time of the influxd beside us so far, also what it does in the background. [s]"""
    servers = [child for child in psutil.Process().children() if child.name() == "influxd"]
    return float(sum(sum(server.cpu_times()[:2]) for server in servers))


def _open_store(plan: dict[str, Any], folder: Path, devices: DeviceTable) -> SeriesStore:
    if plan["store"] == "influxdb":
        target = plan["target"]
        return InfluxStore(
            InfluxConfig(target["url"], target["org"], target["bucket"], target["token"], folder / "cursor.sqlite"),
            devices,
            booleans=frozenset({"valve_open"}),
        )
    return DuckDBStore(DuckDBConfig(folder / "series.duckdb"), devices)


async def _receive(plan: dict[str, Any]) -> None:
    """Run Tirta's whole ingest until every message is a row, then count what can be read back."""
    folder = Path(plan["folder"])
    os.mkdir(folder)
    catalogue, devices, clock = load_catalogue(), DeviceTable(), WallClock()
    devices.put_all((Address("bench", f"device-{i}"), catalogue.kinds["irrigation-controller"]) for i in range(_DEVICES))
    store = _open_store(plan, folder, devices)
    already = sum(store.count("bench", f"device-{i}") for i in range(_DEVICES)) if plan["store"] == "influxdb" else 0
    latest, quarantine = LatestState(devices, catalogue), Quarantine(QuarantineConfig(folder / "quarantine.sqlite"))
    progress = Progress(folder / "progress.sqlite")
    judge = Judge(BurstDecoder(devices, catalogue), devices, Sequences(), quarantine, latest, progress)
    config = LinkConfig(
        plan["host"], plan["port"], INGEST, plan["password"], INGEST, (("tirta/v1/+/+/telemetry", 1),), session_expiry_s=0
    )
    journal = SqliteJournal(JournalConfig(folder / "journal.sqlite"))
    async with Link(config, rng=random.Random(1)) as link:
        notes = Notes(link, judge, devices, LiveFeed(), clock)
        async with Ingest(
            IngestConfig(), link=link, journal=journal, judge=judge, stores=[store], notes=notes, clock=clock
        ) as ingest:
            await link.wait_connected(10)
            print("ready", flush=True)
            before = time.process_time()
            writer = ingest.writers[0]
            while writer.rows + ingest.counters.rejected < plan["messages"]:
                await asyncio.sleep(0.005)
            ended, cpu = time.time(), time.process_time() - before
    kept = sum(store.count("bench", f"device-{i}") for i in range(_DEVICES)) - already
    lost = max(plan["messages"] - kept, 0)
    rss_mb = psutil.Process(os.getpid()).memory_info().rss / 2**20
    found = {"ended": ended, "cpu_s": cpu, "rss_mb": rss_mb, "lost": lost, "duplicated": max(kept - plan["messages"], 0)}
    print(json.dumps(found), flush=True)
    store.close()


if __name__ == "__main__":
    main()
