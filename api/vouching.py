# SPDX-License-Identifier: Apache-2.0
"""Whose token or session it is that somebody shows, asked of the control database.

Every request asks for itself. Who stays, following events, is looked at again every few seconds; those who are due at about
the same time are looked up together, in two queries for all and not in two for each. Invariant: what is answered was read
after it was asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from fastapi.concurrency import run_in_threadpool

from control import sessions, tokens
from control.access import Principal
from control.database import Database
from control.errors import DatabaseUnavailable
from control.sessions import SessionConfig
from gateway.clock import Clock

__all__ = ["GATHER_S", "Credential", "Credentials", "Vouching", "credential_checker"]

GATHER_S: Final = 0.25  # others are waited for so long [s]
AT_ONCE: Final = 500  # credentials in one look

Credential = tuple[str, str]
"""What is shown: "token" or "session", and its text."""

Credentials = Callable[[Sequence[Credential]], Mapping[Credential, Principal]]
"""Looks credentials up; those that are none, or no longer, are left out."""


def credential_checker(database: Database, config: SessionConfig, wall: Clock) -> Credentials:
    """Return a function that looks tokens and sessions up in the control database, and keeps that they were used."""

    def look_up(shown: Sequence[Credential]) -> dict[Credential, Principal]:
        now_ms = wall.now_ms()
        texts = {sort: [text for kind, text in shown if kind == sort] for sort in ("token", "session")}
        with database.reader() as session:
            by_token = tokens.check_all(session, texts["token"], now_ms=now_ms)
            by_session = sessions.check_sessions(session, texts["session"], config, now_ms=now_ms)
        used = [found for found in by_token.items() if _unkept(found[1][1], now_ms)]
        seen = [found for found in by_session.items() if _unkept(found[1][1], now_ms)]
        if used or seen:
            # Reading goes on while nothing can be written: the disk is full, say.
            with suppress(DatabaseUnavailable), database.session() as session:
                tokens.touch(session, [p.token_id for _, (p, _) in used if p.token_id is not None], now_ms)
                sessions.touch_sessions(session, [text for text, _ in seen], now_ms)
        found = {("token", text): principal for text, (principal, _) in by_token.items()}
        return found | {("session", text): principal for text, (principal, _) in by_session.items()}

    return look_up


def _unkept(used_ms: int | None, now_ms: int) -> bool:
    return used_ms is None or now_ms - used_ms >= tokens.TOUCH_MS


class Vouching:
    """Asks again, for all who stay, whether they are still let in; of one event loop.

    Parameters
    ----------
    check : callable
        Looks credentials up; called in a thread.
    sleep : callable
        Waits for others. [s]
    """

    def __init__(self, check: Credentials, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._check = check
        self._sleep = sleep
        self._gathering: dict[Credential, None] = {}
        self._look: asyncio.Task[Mapping[Credential, Principal]] | None = None

    async def again(self, credential: Credential) -> Principal | None:
        """Return whose it is now, or None where it is nobody's any longer.

        Raises
        ------
        DatabaseUnavailable
            Nobody can tell.
        """
        if self._look is None or len(self._gathering) >= AT_ONCE:
            self._gathering = {}
            self._look = asyncio.create_task(self._look_soon(self._gathering), name="vouching")
        self._gathering[credential] = None
        # One who leaves meanwhile must not end it for the others.
        return (await asyncio.shield(self._look)).get(credential)

    async def _look_soon(self, gathering: Mapping[Credential, None]) -> Mapping[Credential, Principal]:
        await self._sleep(GATHER_S)
        if self._gathering is gathering:
            self._look = None  # who comes from now on asks anew
        return await run_in_threadpool(self._check, list(gathering))
