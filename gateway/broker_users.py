# SPDX-License-Identifier: Apache-2.0
"""The broker's users as files, and the ways to see that a broker works by them.

Each writing gives the probe user a new random password: a broker that takes it has read these very files.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping

from gateway.broker_config import BrokerFiles, acl_text, passwords_text
from gateway.credentials import PROBE, Credential, hash_password, new_credential
from gateway.errors import BrokerFailed, LinkLost
from gateway.knock import knock
from gateway.processes import write_private

__all__ = ["BrokerUsers"]

_TRY_S = 0.05  # between two tries


class BrokerUsers:
    """User names and hashes, and the two files that hold them.

    Parameters
    ----------
    files : BrokerFiles
        Where to write; the folder is made when missing.
    users : mapping
        User names and password hashes.
    """

    def __init__(self, files: BrokerFiles, users: Mapping[str, str]) -> None:
        self._files = files
        self._users = dict(users)
        self._probe = new_credential(PROBE)

    def put(self, users: Mapping[str, str]) -> None:
        """Add users, or give those that are there another hash."""
        self._users.update(users)

    def lend(self, username: str) -> Credential:
        """Give a user a one-off password that nobody else has, so that its session can be cleared by its own id."""
        credential = new_credential(username)
        self._users[username] = hash_password(credential.password)
        return credential

    def remove(self, username: str) -> None:
        """Take a user away."""
        self._users.pop(username, None)

    def write(self) -> None:
        """Write both files, with a new password for the probe."""
        self._write(self._with_probe())

    async def rewrite(self) -> None:
        """Do the same in a thread: thousands of lines keep nobody waiting."""
        await asyncio.to_thread(self._write, self._with_probe())

    def _with_probe(self) -> dict[str, str]:
        self._probe = new_credential(PROBE)
        return {**self._users, PROBE: hash_password(self._probe.password)}

    def _write(self, users: Mapping[str, str]) -> None:
        self._files.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._files.acl.exists() or self._files.acl.read_text("utf-8") != acl_text():
            write_private(self._files.acl, acl_text())
        write_private(self._files.passwords, passwords_text(users))

    async def wait_taken(
        self,
        host: str,
        port: int,
        *,
        timeout_s: float,
        tls: ssl.SSLContext | None = None,
        alive: Callable[[], bool] = lambda: True,
    ) -> None:
        """Wait until the broker works by what was last written.

        Raises
        ------
        BrokerFailed
            It does not within `timeout_s`, or `alive` says that it is gone. [s]
        """
        end_s = time.monotonic() + timeout_s
        while True:
            try:
                if await knock(host, port, self._probe, tls=tls, timeout_s=timeout_s):
                    return
                trouble = f"the broker at {host}:{port} answers, but not by the files in {self._files.folder}"
            except LinkLost as exc:
                trouble = str(exc)
            if not alive():
                raise BrokerFailed("mosquitto ended")
            if time.monotonic() > end_s:
                raise BrokerFailed(f"the broker did not take its files within {timeout_s:g} s: {trouble}")
            await asyncio.sleep(_TRY_S)

    async def clear_session(self, credential: Credential, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        """Remove what the broker stores for a user, by connecting once as that user with a clean start.

        Raises
        ------
        LinkLost
            The broker can't be reached, or did not take the one-off password.
        """
        if not await knock(host, port, credential, tls=tls):
            raise LinkLost(f"the broker refused the one-off password for {credential.username}")
