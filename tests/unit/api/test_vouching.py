# SPDX-License-Identifier: Apache-2.0
"""Looking again at who stays: together for many, and never with an answer from before the question."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from api import vouching
from api.vouching import Credential, Vouching, credential_checker
from control import sessions, tokens
from control.access import Principal
from control.errors import DatabaseUnavailable
from control.sessions import SessionConfig
from tests.unit.api.house import START_MS, House

SOMEBODY = Principal("somebody", "token")


class Looked:
    """Knows every token but "bad", and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[Credential]] = []
        self.go = asyncio.Event()
        self.broken = False

    def check(self, shown: Sequence[Credential]) -> dict[Credential, Principal]:
        self.asked.append(list(shown))
        if self.broken:
            raise DatabaseUnavailable("away")
        return {one: SOMEBODY for one in shown if one[1] != "bad"}

    async def sleep(self, seconds: float) -> None:
        assert seconds == vouching.GATHER_S
        await self.go.wait()


async def test_again_looks_at_those_who_are_due_together_once() -> None:
    looked = Looked()
    vouch = Vouching(looked.check, sleep=looked.sleep)
    waiting = [asyncio.create_task(vouch.again(("token", text))) for text in ("a", "b", "bad", "a")]
    await asyncio.sleep(0)
    looked.go.set()

    assert await asyncio.gather(*waiting) == [SOMEBODY, SOMEBODY, None, SOMEBODY]
    assert looked.asked == [[("token", "a"), ("token", "b"), ("token", "bad")]]


async def test_again_after_a_look_began_asks_anew() -> None:
    looked = Looked()
    looked.go.set()
    vouch = Vouching(looked.check, sleep=looked.sleep)
    for _ in range(2):
        assert await vouch.again(("token", "a")) == SOMEBODY

    assert looked.asked == [[("token", "a")]] * 2


async def test_again_of_more_than_fit_into_one_look_takes_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vouching, "AT_ONCE", 2)
    looked = Looked()
    looked.go.set()
    vouch = Vouching(looked.check, sleep=looked.sleep)
    await asyncio.gather(*(vouch.again(("token", text)) for text in "abc"))

    assert sorted(map(len, looked.asked)) == [1, 2]


async def test_again_goes_on_for_the_others_when_one_leaves() -> None:
    looked = Looked()
    vouch = Vouching(looked.check, sleep=looked.sleep)
    leaving, staying = (asyncio.create_task(vouch.again(("token", text))) for text in "ab")
    await asyncio.sleep(0)
    leaving.cancel()
    looked.go.set()

    assert await staying == SOMEBODY
    assert leaving.cancelled()


async def test_again_while_the_database_is_away_says_so_to_all() -> None:
    looked = Looked()
    looked.broken = True
    looked.go.set()
    vouch = Vouching(looked.check, sleep=looked.sleep)
    found = await asyncio.gather(*(vouch.again(("token", text)) for text in "ab"), return_exceptions=True)

    assert [type(one) for one in found] == [DatabaseUnavailable] * 2


def test_look_up_of_many_finds_each_its_own_and_keeps_that_they_were_used(house: House) -> None:
    database = house.services.database
    look_up = credential_checker(database, SessionConfig(), house.services.clock)
    shown = [("token", house.tokens[name]) for name in ("viewer", "operator")]
    found = look_up([*shown, ("token", "tirta_none"), ("session", "none"), ("token", "é")])

    assert {one: principal.name for one, principal in found.items()} == {shown[0]: "a-viewer", shown[1]: "a-operator"}
    with database.reader() as session:
        used = {token.name: token.used_ms for token in tokens.list_tokens(session)[0]}
        assert sessions.check_sessions(session, [], SessionConfig(), now_ms=START_MS) == {}
    assert used["a-viewer"] == used["a-operator"] == house.services.clock.now_ms()
