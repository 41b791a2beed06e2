# SPDX-License-Identifier: Apache-2.0
"""Tirta's own mosquitto: a process of its own that outlives a killed Tirta, is found again, supervised and stopped.

Invariants: one broker a folder; its files are written whole, readable by their owner only; a change of users counts as
made only when the broker was seen to work by it (a probe user's password changes with every writing); a start that finds
no sign of an end in order notes a loss first (`BrokerSave`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import random
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.broker_config import BrokerCertificates, BrokerFiles, BrokerLimits, SecureListeners, configuration_text
from gateway.broker_save import BrokerSave
from gateway.broker_users import BrokerUsers
from gateway.clock import WallClock
from gateway.errors import BrokerFailed, BrokerMissing, LinkLost
from gateway.link import backoff_s
from gateway.ports import choose_port
from gateway.processes import DetachedProcess, find_executable, write_private
from gateway.rounds import Rounds

__all__ = ["Broker", "BrokerConfig"]

logger = logging.getLogger(__name__)

_LOOK_S = 0.5  # between two looks at the process
_FILES_BESIDE = 64  # open files of the broker that are no connections
_LOG_LIMIT = 8 * 1024 * 1024  # one older log is kept beside it [bytes]


@dataclass(frozen=True, slots=True)
class BrokerConfig:
    """Where the broker lives.

    Attributes
    ----------
    folder : Path
        Its files; made when missing. Holds the queues: give it room.
    host : str
        Address to listen on. Without TLS: loopback.
    port : int
        0 chooses a free one at the first start and keeps to it.
    secure : SecureListeners
        Where it listens with TLS besides; port 0 as above.
    executable : str
        Name or path of mosquitto.
    limits : BrokerLimits
        The broker's bounds.
    start_timeout_s, stop_timeout_s : float
        Until it answers; until it is killed (it writes its queues to disk first). [s]
    backoff_min_s, backoff_max_s : float
        Between restarts of one that dies. [s]
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    secure: SecureListeners = field(default_factory=SecureListeners)
    executable: str = "mosquitto"
    limits: BrokerLimits = field(default_factory=BrokerLimits)
    start_timeout_s: float = 30.0
    stop_timeout_s: float = 10.0
    backoff_min_s: float = 0.2
    backoff_max_s: float = 30.0


class Broker:
    """The broker while the context lasts; leaving the context stops it.

    Parameters
    ----------
    config : BrokerConfig
        Where it lives.
    users : mapping
        User names and password hashes, devices and roles.
    certificates : BrokerCertificates, optional
        By what it proves itself; needed where it listens with TLS.
    rng : random.Random
        Jitter of the restarts.
    on_restart : callable, optional
        Called when it had died and runs again.
    """

    def __init__(
        self,
        config: BrokerConfig,
        users: Mapping[str, str],
        *,
        certificates: BrokerCertificates | None = None,
        rng: random.Random,
        on_restart: Callable[[], None] | None = None,
    ) -> None:
        self.config = config
        self.restarts = 0
        self.adopted = False
        self._files = BrokerFiles(config.folder.resolve())
        self._log = self._files.folder / "mosquitto.log"
        self.save = BrokerSave(self._files, WallClock())
        self._seen = self.save.look()  # the last writing while it was alive
        self._process = DetachedProcess(self._files.folder / "mosquitto.pid.json")
        self._users = BrokerUsers(self._files, users)
        self._certificates = certificates
        self._rng = rng
        self._on_restart = on_restart
        self._port = 0
        self._secure = config.secure
        self._state = "not started"
        self._changing = asyncio.Lock()
        self._rounds = Rounds(self._reload)
        self._group = asyncio.TaskGroup()
        self._supervisor: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start the broker, or take over the one that is running.

        Raises
        ------
        BrokerMissing
            mosquitto is not installed.
        BrokerFailed
            It does not start; the message holds the end of its log.
        """
        await self._start_or_adopt()
        await self._group.__aenter__()
        self._supervisor = self._group.create_task(self._supervise(), name="broker supervisor")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
        await self._stop()
        self._state = "stopped"
        if kind is None or issubclass(kind, asyncio.CancelledError):
            await self._group.__aexit__(kind, exc, trace)
        else:
            await self._group.__aexit__(None, None, None)

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._port

    @property
    def secure(self) -> SecureListeners:
        """Where it listens with TLS, once started."""
        return self._secure

    @property
    def pid(self) -> int | None:
        """Its process id, or None while it does not run."""
        record = self._process.find()
        return None if record is None else record.pid

    @property
    def state(self) -> str:
        """`running`, or in words why not."""
        return self._state

    def put(self, users: Mapping[str, str]) -> None:
        """Add users, or give those that are there another hash; it counts from the next `apply` on."""
        self._users.put(users)

    async def apply(self) -> None:
        """Have the broker work by the users as they stand; who is gone or has another hash is put out at once, others stay.

        Who asks while it reads its files shares the next reading.

        Raises
        ------
        BrokerFailed
            The broker was not seen to take them; they are written and count from its next start on.
        """
        await self._rounds.join()

    async def set_certificates(self, certificates: BrokerCertificates) -> None:
        """Prove itself by another certificate, and judge those of devices anew; who is connected stays.

        Raises
        ------
        BrokerFailed
            As for `apply`.
        """
        self._certificates = certificates
        self._files.write_certificates(certificates)
        await self.apply()

    async def revoke(self, username: str) -> None:
        """Take a user away: its rights, its live session and what is stored for it.

        Raises
        ------
        BrokerFailed
            As for `apply`.
        """
        key = self._users.lend(username)
        try:
            await self.apply()
            await self._users.clear_session(key, self.config.host, self._port)
        except LinkLost as exc:
            raise BrokerFailed(f"{username} is revoked, but what is stored for it could not be cleared: {exc}") from exc
        finally:
            self._users.remove(username)
            await self.apply()

    async def _reload(self) -> None:
        async with self._changing:
            await self._users.rewrite()
            self._process.signal(signal.SIGHUP)
            await self._users.wait_taken(self.config.host, self._port, timeout_s=self.config.start_timeout_s)

    async def _start_or_adopt(self) -> None:
        self._files.store.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._files.folder.chmod(0o700)
        running = self._process.find()
        self._choose_ports(keep=running is not None)
        if self._certificates is not None:
            self._files.write_certificates(self._certificates)
        self._users.write()
        if running is not None and self._configuration() == self._configuration_on_disk():
            self._process.signal(signal.SIGHUP)
            try:
                await self._wait_ready()
            except BrokerFailed as exc:
                logger.warning("the running broker is replaced: %s", exc, extra={"action": "broker_replaced"})
            else:
                self.adopted = True
                logger.info("took over the running broker", extra={"action": "broker_adopted"})
                return
        await self._stop()
        await self._start()

    async def _stop(self) -> None:
        alive = self._process.find() is not None
        if alive:
            self._seen = self.save.look()
        if await self._process.stop(self.config.stop_timeout_s):
            self._note_end(asked=alive)

    def _note_end(self, *, asked: bool) -> None:
        """Note that it ended with everything on disk, where that was seen: it went by itself, and wrote its queues last."""
        code = self._process.exit_code  # not known of one that was taken over
        in_order = asked if code is None else code >= 0
        if in_order and self.save.look() != self._seen:  # on a full disk the old ones stay
            self.save.note_end()

    async def _start(self) -> None:
        executable = find_executable(self.config.executable)
        if executable is None:
            raise BrokerMissing
        self._rotate_log()
        self.save.begin()
        try:
            write_private(self._files.configuration, self._configuration())
            self._process.start(
                [executable, "-c", str(self._files.configuration)],
                log=self._log,
                environment={"LC_ALL": "C.UTF-8"},  # nothing of ours: it may hold secrets
                max_files=self.config.limits.max_connections + _FILES_BESIDE,
            )
            self._seen = self.save.look()
            await self._wait_ready()
        except (OSError, BrokerFailed) as exc:
            if self._process.find() is None and (self._process.exit_code or 0) >= 0:
                self.save.note_end()  # it never began: what was on disk is what there is
            if isinstance(exc, BrokerFailed):
                raise
            raise BrokerFailed(f"mosquitto did not start: {exc}; {self._last_words()}") from exc

    async def _wait_ready(self) -> None:
        try:
            await self._users.wait_taken(
                self.config.host,
                self._port,
                timeout_s=self.config.start_timeout_s,
                alive=lambda: self._process.find() is not None,
            )
        except BrokerFailed as exc:
            self._state = f"{exc}; {self._last_words()}"
            raise BrokerFailed(self._state) from exc
        self._state = "running"

    async def _supervise(self) -> None:
        attempt = 0
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._process.find() is not None:
                self._seen = self.save.look()
                if self._rotate_log():
                    self._process.signal(signal.SIGHUP)  # opens its log anew
                attempt = 0
                if self._state != "running":  # it took long to load its queues
                    with contextlib.suppress(BrokerFailed):
                        await self._wait_ready()
                continue
            if attempt == 0:
                self._note_end(asked=False)  # somebody else may have asked it
            attempt += 1
            config = self.config
            wait_s = backoff_s(attempt, min_s=config.backoff_min_s, max_s=config.backoff_max_s, rng=self._rng)
            self._state = f"died; starts again in {wait_s:.1f} s; {self._last_words()}"
            logger.warning("the broker %s", self._state, extra={"action": "broker_died"})
            await asyncio.sleep(wait_s)
            await self._restart()

    async def _restart(self) -> None:
        async with self._changing:
            try:
                await self._start()
            except (BrokerFailed, BrokerMissing, OSError) as exc:  # a full disk too passes
                self._state = str(exc)
                logger.warning("the broker: %s", exc, extra={"action": "broker_failed"})
                return
        self.restarts += 1
        logger.info("the broker runs again", extra={"action": "broker_restarted"})
        if self._on_restart is not None:
            self._on_restart()

    def _configuration(self) -> str:
        return configuration_text(
            self._files,
            host=self.config.host,
            port=self._port,
            limits=self.config.limits,
            log=self._log,
            user=pwd.getpwuid(0).pw_name if os.geteuid() == 0 else None,
            secure=self._secure,
        )

    def _configuration_on_disk(self) -> str | None:
        try:
            return self._files.configuration.read_text(encoding="utf-8")
        except OSError:
            return None

    def _choose_ports(self, *, keep: bool) -> None:
        folder, config = self._files.folder, self.config
        self._port = choose_port(folder / "port", config.host, config.port, keep=keep)
        chosen = []
        for name, where in (("tls", config.secure.passwords), ("certificates", config.secure.certificates)):
            if where is not None:
                where = (where[0], choose_port(folder / f"port-{name}", *where, keep=keep))
            chosen.append(where)
        self._secure = SecureListeners(*chosen)

    def _rotate_log(self) -> bool:
        """Move a log that has grown too large aside; True when it did."""
        with contextlib.suppress(OSError):
            if self._log.stat().st_size > _LOG_LIMIT:
                self._log.replace(self._log.with_suffix(".log.1"))
                return True
        return False

    def _last_words(self) -> str:
        try:
            with self._log.open("rb") as log:
                log.seek(max(0, self._log.stat().st_size - 2000))
                lines = log.read().decode(errors="replace").strip().splitlines()
        except OSError:
            lines = []
        return f"its log {self._log} ends with: {' | '.join(lines[-2:])}" if lines else f"its log is {self._log}"
