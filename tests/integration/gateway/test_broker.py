# SPDX-License-Identifier: Apache-2.0
"""Tirta's own broker: started, taken over, supervised, reloaded, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from gateway.broker import Broker, BrokerConfig
from gateway.broker_save import BrokerLoss
from gateway.credentials import CONTROL, Credential, hash_password, new_credential
from gateway.errors import BrokerFailed, BrokerMissing, LinkLost
from gateway.external_broker import ExternalBroker, ExternalBrokerConfig
from gateway.knock import knock
from gateway.link import Link, LinkConfig
from tests.servers.mosquitto import Mosquitto, mosquitto_executable

DEVICE = "pilot/bed-1"
OTHER = "pilot/bed-2"

STARTER = """
import asyncio, json, os, random, sys
from pathlib import Path
from gateway.broker import Broker, BrokerConfig

async def main():
    config = BrokerConfig(folder=Path(sys.argv[1]))
    broker = await Broker(config, json.loads(sys.argv[2]), rng=random.Random(1)).__aenter__()
    print(broker.pid, broker.port, flush=True)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


@pytest.fixture
def credentials() -> dict[str, Credential]:
    return {name: new_credential(name) for name in (CONTROL, DEVICE, OTHER)}


@pytest.fixture
def users(credentials: dict[str, Credential]) -> dict[str, str]:
    return {name: hash_password(one.password) for name, one in credentials.items()}


@pytest.fixture
def config(tmp_path: Path) -> BrokerConfig:
    mosquitto_executable()
    return BrokerConfig(folder=tmp_path / "broker")


@pytest.fixture
def leftovers(tmp_path: Path) -> Iterator[None]:
    """End what a test left behind, by its own record."""
    yield
    with contextlib.suppress(OSError, ValueError):
        os.kill(json.loads((tmp_path / "broker" / "mosquitto.pid.json").read_text())["pid"], signal.SIGKILL)


def running(config: BrokerConfig, users: dict[str, str]) -> Broker:
    return Broker(config, users, rng=random.Random(1))


@contextlib.asynccontextmanager
async def linked(broker: Broker, credential: Credential, *subscriptions: str) -> AsyncIterator[Link]:
    config = LinkConfig(
        host="127.0.0.1",
        port=broker.port,
        username=credential.username,
        password=credential.password,
        client_id=credential.username,
        subscriptions=tuple((pattern, 1) for pattern in subscriptions),
        backoff_min_s=0.05,
        backoff_max_s=0.3,
    )
    async with Link(config, rng=random.Random(1)) as link:
        await link.wait_connected(10)
        yield link


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - processes and sockets, seen from outside
            await asyncio.sleep(0.02)


async def test_broker_takes_given_users_and_no_other(
    config: BrokerConfig, users: dict[str, str], credentials: dict[str, Credential]
) -> None:
    async with running(config, users) as broker:
        assert broker.state == "running"
        assert await knock("127.0.0.1", broker.port, credentials[DEVICE])
        assert not await knock("127.0.0.1", broker.port, new_credential(DEVICE))
        pid = broker.pid
        assert pid is not None
    assert broker.pid is None
    assert not is_alive(pid)


async def test_broker_files_are_readable_by_their_owner_only(config: BrokerConfig, users: dict[str, str]) -> None:
    async with running(config, users):
        modes = {path.name: path.stat().st_mode & 0o777 for path in config.folder.iterdir() if path.is_file()}
    assert set(modes.values()) == {0o600}
    assert {"mosquitto.conf", "mosquitto.passwd", "mosquitto.acl", "mosquitto.log", "port"} <= set(modes)
    assert config.folder.stat().st_mode & 0o777 == 0o700


async def test_broker_started_again_keeps_its_port_and_what_is_stored(
    config: BrokerConfig, users: dict[str, str], credentials: dict[str, Credential]
) -> None:
    topic = f"tirta/v1/{DEVICE}/command"
    async with running(config, users) as broker:
        port = broker.port
        async with linked(broker, credentials[DEVICE], topic):
            pass
        async with linked(broker, credentials[CONTROL]) as control:
            await control.publish(topic, b"while you were away")
    async with running(config, users) as broker:
        assert broker.port == port
        async with linked(broker, credentials[DEVICE], topic) as device:
            assert device.session_present
            burst = await anext(device.bursts())
            assert burst.payloads == [b"while you were away"]


async def start_and_die(config: BrokerConfig, users: dict[str, str]) -> tuple[int, int]:
    """Have the broker started by a process that is killed then; return its process id and port."""
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTER, str(config.folder), json.dumps(users), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await starter.communicate()
    assert starter.returncode == -signal.SIGKILL
    pid, port = map(int, output.split())
    return pid, port


@pytest.mark.usefixtures("leftovers")
async def test_broker_of_a_killed_parent_lives_on_and_is_taken_over(
    config: BrokerConfig, users: dict[str, str], credentials: dict[str, Credential]
) -> None:
    pid, port = await start_and_die(config, users)
    assert is_alive(pid)
    changed = {**users, "pilot/new": hash_password("a")}
    async with running(config, changed) as broker:
        assert broker.adopted
        assert broker.save.loss is None  # it never died
        assert (broker.pid, broker.port) == (pid, port)
        assert await knock("127.0.0.1", port, Credential("pilot/new", "a"))
        assert await knock("127.0.0.1", port, credentials[DEVICE])
    await until(lambda: broker.pid is None)
    async with running(config, users) as broker:
        assert broker.save.loss is None  # it was stopped in order


async def test_broker_stopped_in_order_leaves_no_loss(config: BrokerConfig, users: dict[str, str]) -> None:
    async with running(config, users) as first:
        assert first.save.loss is None
    async with running(config, users) as second:
        assert second.save.loss is None


@pytest.mark.usefixtures("leftovers")
async def test_broker_killed_after_it_saved_its_queues_tells_since_when_something_is_lost(
    config: BrokerConfig, users: dict[str, str], credentials: dict[str, Credential]
) -> None:
    topic = f"tirta/v1/{DEVICE}/command"
    database = config.folder / "store" / "mosquitto.db"
    async with running(config, users) as broker, linked(broker, credentials[CONTROL]) as control:
        async with linked(broker, credentials[DEVICE], topic):
            pass
        await control.publish(topic, b"saved")
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGUSR1)  # as it does by itself each `autosave_s`
        await until(database.exists)
        saved_ms = database.stat().st_mtime_ns // 1_000_000
        await control.publish(topic, b"lost")
        os.kill(broker.pid, signal.SIGKILL)
        await until(lambda: broker.restarts == 1)
        assert broker.save.loss == BrokerLoss(1, saved_ms)
        async with linked(broker, credentials[DEVICE], topic) as device:
            assert device.session_present  # and yet
            assert (await anext(device.bursts())).payloads == [b"saved"]
        broker.save.settle(BrokerLoss(1, saved_ms))
    async with running(config, users) as broker:
        assert broker.save.loss is None


@pytest.mark.usefixtures("leftovers")
async def test_broker_killed_together_with_its_parent_tells_of_a_loss_until_it_is_settled(
    config: BrokerConfig, users: dict[str, str]
) -> None:
    pid, _ = await start_and_die(config, users)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not is_alive(pid))
    async with running(config, users) as broker:
        assert not broker.adopted
        assert broker.save.loss == BrokerLoss(1, 0)  # it had not saved anything yet
    async with running(config, users) as broker:
        assert broker.save.loss == BrokerLoss(1, 0)


async def test_broker_asked_to_end_by_somebody_else_runs_again_without_a_loss(
    config: BrokerConfig, users: dict[str, str]
) -> None:
    async with running(config, users) as broker:
        await asyncio.sleep(0)
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGTERM)
        await until(lambda: broker.restarts == 1)
        assert broker.save.loss is None


@pytest.mark.usefixtures("leftovers")
async def test_broker_that_dies_is_started_again_and_links_return(
    config: BrokerConfig, users: dict[str, str], credentials: dict[str, Credential]
) -> None:
    told: list[str] = []
    broker = Broker(config, users, rng=random.Random(1), on_restart=lambda: told.append("again"))
    async with broker, linked(broker, credentials[DEVICE]) as link:
        first = broker.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: broker.restarts == 1)
        await link.wait_connected(10)
        assert broker.pid not in (None, first)
        assert told == ["again"]
        assert broker.state == "running"


async def test_revoke_puts_out_who_is_gone_and_leaves_the_others(
    config: BrokerConfig, users: dict[str, str], credentials: dict[str, Credential]
) -> None:
    async with running(config, users) as broker:
        async with linked(broker, credentials[DEVICE]) as gone, linked(broker, credentials[OTHER]) as stays:
            await broker.revoke(DEVICE)
            await until(lambda: not gone.connected)
            assert stays.connected
            assert stays.counters.connections == 1
        assert not await knock("127.0.0.1", broker.port, credentials[DEVICE])


async def test_apply_of_a_new_hash_ends_the_old_credential(
    config: BrokerConfig, users: dict[str, str], credentials: dict[str, Credential]
) -> None:
    async with running(config, users) as broker, linked(broker, credentials[DEVICE]) as link:
        rotated = new_credential(DEVICE)
        broker.put({DEVICE: hash_password(rotated.password)})
        await broker.apply()
        await until(lambda: not link.connected)
        assert await knock("127.0.0.1", broker.port, rotated)
        assert not await knock("127.0.0.1", broker.port, credentials[DEVICE])


async def test_revoke_ends_the_live_session_and_clears_what_is_stored(
    config: BrokerConfig, users: dict[str, str], credentials: dict[str, Credential]
) -> None:
    topic = f"tirta/v1/{DEVICE}/command"
    async with running(config, users) as broker, linked(broker, credentials[CONTROL]) as control:
        async with linked(broker, credentials[DEVICE], topic) as device:
            await broker.revoke(DEVICE)
            await until(lambda: not device.connected)
        await control.publish(topic, b"not for you any more")
        assert not await knock("127.0.0.1", broker.port, credentials[DEVICE])
        assert control.counters.connections == 1
        broker.put(users)
        await broker.apply()
        async with linked(broker, credentials[DEVICE], topic) as device:
            assert not device.session_present
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await anext(device.bursts())


async def test_broker_without_mosquitto_says_how_to_get_it(tmp_path: Path, users: dict[str, str]) -> None:
    config = BrokerConfig(folder=tmp_path, executable="mosquitto-that-is-not-there")
    with pytest.raises(BrokerMissing, match="apt-get install mosquitto"):
        async with running(config, users):
            pass


async def test_broker_on_a_port_in_use_fails_with_its_last_words(
    config: BrokerConfig, users: dict[str, str], tmp_path: Path
) -> None:
    with Mosquitto(tmp_path / "other") as other:
        taken = BrokerConfig(folder=config.folder, port=other.port)
        with pytest.raises(BrokerFailed, match="in use"):
            async with running(taken, users):
                pass
    async with running(config, users) as broker:
        assert broker.save.loss is None  # it never began, so nothing is lost


async def test_broker_log_that_grew_too_large_is_moved_aside(config: BrokerConfig, users: dict[str, str]) -> None:
    async with running(config, users) as broker:
        log, old = config.folder / "mosquitto.log", config.folder / "mosquitto.log.1"
        os.truncate(log, 9 * 1024 * 1024)
        await until(lambda: old.exists() and log.exists())
        await broker.apply()
        assert log.stat().st_size < 10_000
        assert broker.restarts == 0


async def test_external_broker_reloads_by_its_command_and_revokes(tmp_path: Path) -> None:
    with Mosquitto(tmp_path, devices=(DEVICE,)) as server:
        assert server.process is not None
        config = ExternalBrokerConfig(
            folder=server.files.folder,
            host=server.host,
            port=server.port,
            reload_command=f"{shlex.quote(sys.executable)} -c 'import os; os.kill({server.process.pid}, 1)'",
        )
        external = ExternalBroker(config, {})
        key = new_credential(OTHER)
        external.put({OTHER: hash_password(key.password)})
        assert await external.apply() is None
        assert await knock(server.host, server.port, key)
        assert await external.revoke(OTHER) is None
        assert not await knock(server.host, server.port, key)


async def test_external_broker_without_a_command_says_what_to_do(tmp_path: Path) -> None:
    external = ExternalBroker(ExternalBrokerConfig(folder=tmp_path / "files", host="127.0.0.1", port=1), {})
    external.put({DEVICE: hash_password("a")})
    notice = await external.apply()
    assert notice is not None
    assert "SIGHUP" in notice
    assert (tmp_path / "files" / "mosquitto.passwd").read_text().startswith(f"{DEVICE}:$7$")
    notice = await external.revoke(DEVICE)
    assert notice is not None
    assert "clean start" in notice
    assert DEVICE not in (tmp_path / "files" / "mosquitto.passwd").read_text()


async def test_external_broker_whose_command_fails_says_what_it_told(tmp_path: Path) -> None:
    config = ExternalBrokerConfig(
        folder=tmp_path, host="127.0.0.1", port=1, reload_command="sh -c 'echo no such container; exit 3'"
    )
    with pytest.raises(BrokerFailed, match=r"ended with 3: no such container"):
        await ExternalBroker(config, {}).apply()


async def test_knock_at_a_closed_port_is_lost() -> None:
    with pytest.raises(LinkLost, match="no answer"):
        await knock("127.0.0.1", 1, new_credential(DEVICE))
