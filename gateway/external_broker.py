# SPDX-License-Identifier: Apache-2.0
"""A broker that somebody else runs: Tirta writes its users and rights, and has them read by a command or by hand.

For a mosquitto in a container or on another machine that reads these files from a shared folder. A broker of another make
takes its users in its own way; the notices say what it needs.
"""

from __future__ import annotations

import asyncio
import shlex
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.broker_config import BrokerCertificates, BrokerFiles
from gateway.broker_users import BrokerUsers
from gateway.errors import BrokerFailed, InvalidInput, LinkLost
from gateway.rounds import Rounds

__all__ = ["ExternalBroker", "ExternalBrokerConfig"]

_OUTPUT_SHOWN = 400  # of a failing command's output [bytes]


@dataclass(frozen=True, slots=True)
class ExternalBrokerConfig:
    """How to reach the broker and its files.

    Attributes
    ----------
    folder : Path
        Where the password and rights files are written.
    host, port, tls
        Where it listens, to see that it took them.
    reload_command : str or None
        Split as a shell would, run without one. None: a person does it.
    timeout_s : float
        For the command, and again until the broker takes the files. [s]
    """

    folder: Path
    host: str
    port: int
    tls: ssl.SSLContext | None = None
    reload_command: str | None = None
    timeout_s: float = 15.0


class ExternalBroker:
    """Keeps the users of a broker that is not ours to start or stop.

    Parameters
    ----------
    config : ExternalBrokerConfig
        How to reach it.
    users : mapping
        User names and password hashes.
    """

    def __init__(self, config: ExternalBrokerConfig, users: Mapping[str, str]) -> None:
        self.config = config
        self._files = BrokerFiles(config.folder.resolve())
        self._users = BrokerUsers(self._files, users)
        self._rounds = Rounds(self._reload)
        try:
            self._command = shlex.split(config.reload_command or "")
        except ValueError as exc:
            raise InvalidInput(f"the broker's reload command can't be split into words: {exc}") from exc

    def put(self, users: Mapping[str, str]) -> None:
        """Add users, or give those that are there another hash; it counts from the next `apply` on."""
        self._users.put(users)

    async def apply(self) -> str | None:
        """Have the broker work by the users as they stand; give what a person has to do still, or None.

        Who asks while the command runs shares its next run.

        Raises
        ------
        BrokerFailed
            The command failed, or the broker was not seen to take the files.
        """
        return await self._rounds.join()

    async def set_certificates(self, certificates: BrokerCertificates) -> str | None:
        """Write its certificate and those of devices that are revoked; give what a person has to do still, or None.

        Raises
        ------
        BrokerFailed
            As for `apply`.
        """
        self.config.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._files.write_certificates(certificates)
        return await self.apply()

    async def revoke(self, username: str) -> str | None:
        """Take a user away with its session; give what a person has to do still, or None.

        Raises
        ------
        BrokerFailed
            As for `apply`; the user is then out of the files all the same.
        """
        if not self._command:
            self._users.remove(username)
            notice = await self.apply()
            return f"{notice} Then clear what it stores for the client id {username}: connect once under it with a clean start."
        key = self._users.lend(username)
        try:
            await self.apply()
            await self._users.clear_session(key, self.config.host, self.config.port, tls=self.config.tls)
        except LinkLost as exc:
            raise BrokerFailed(f"{username} is revoked, but what is stored for it could not be cleared: {exc}") from exc
        finally:
            self._users.remove(username)
            await self.apply()
        return None

    async def _reload(self) -> str | None:
        await self._users.rewrite()
        if not self._command:
            return f"The broker has to read {self.config.folder} anew: send it SIGHUP, or set a reload command."
        await self._run_command()
        await self._users.wait_taken(self.config.host, self.config.port, tls=self.config.tls, timeout_s=self.config.timeout_s)
        return None

    async def _run_command(self) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as exc:
            raise BrokerFailed(f"the broker's reload command {self._command[0]!r} can't be started: {exc}") from exc
        try:
            async with asyncio.timeout(self.config.timeout_s):
                output, _ = await process.communicate()
        except TimeoutError as exc:
            process.kill()
            await process.wait()
            raise BrokerFailed(f"the broker's reload command took more than {self.config.timeout_s:g} s") from exc
        if process.returncode:
            told = output[-_OUTPUT_SHOWN:].decode(errors="replace").strip()
            raise BrokerFailed(f"the broker's reload command ended with {process.returncode}: {told}")
