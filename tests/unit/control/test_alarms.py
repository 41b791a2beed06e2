# SPDX-License-Identifier: Apache-2.0
"""The book of alarms."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from control import alarms, places, registry
from control.access import Grant, Principal, Scope
from control.alarms import Alarm
from control.alarms_codes import CODES, SEVERITIES, AlarmCode
from control.audit import Trail, list_entries
from control.database import Database
from control.errors import Invalid, NotAllowed, NotFound, NotWritten, Stale
from control.ids import new_id
from control.sentences import sentences

NOW = 1_795_305_600_000
TRAIL = Trail("ani", "person", NOW)


def alarm(subject: str = "journal", code: str = "journal-stopped", at_ms: int = NOW, **more: Any) -> Alarm:
    made = Alarm(new_id(at_ms), code, "critical", subject, None, None, {"said": "full"}, at_ms)
    return replace(made, **more)


def kept(database: Database, *made: Alarm) -> None:
    with database.session() as session:
        alarms.keep(session, made)


def listed(database: Database, **asked: Any) -> list[Alarm]:
    with database.reader() as session:
        return alarms.list_alarms(session, **asked)[0]


def principal(role: str, scope: Scope) -> Principal:
    return Principal("ani", "person", ((Grant(role, scope),),))


def test_keep_adds_what_is_new_and_takes_over_numbers_and_end_of_what_is_known(database: Database) -> None:
    first = alarm()
    kept(database, first)
    kept(database, replace(first, details={"said": "still"}))
    kept(database, replace(first, details={"said": "over"}, cleared_ms=NOW + 5))
    kept(database, again := alarm(at_ms=NOW + 9))
    assert listed(database) == [again, replace(first, details={"said": "over"}, cleared_ms=NOW + 5)]
    with database.reader() as session:
        assert alarms.open_alarms(session) == [again]


def test_keep_takes_an_end_and_a_new_beginning_at_once(database: Database) -> None:
    first, second, third = alarm(), alarm(at_ms=NOW + 2), alarm(at_ms=NOW + 4)
    kept(database, first)
    kept(database, third, replace(first, cleared_ms=NOW + 1), replace(second, cleared_ms=NOW + 3))
    assert [one.cleared_ms for one in listed(database)] == [None, NOW + 3, NOW + 1]


def test_keep_leaves_alone_who_has_seen_it(database: Database) -> None:
    first = alarm()
    kept(database, first)
    with database.session() as session:
        alarms.mark_seen(session, first.id, now_ms=NOW + 1, trail=TRAIL)
    kept(database, replace(first, cleared_ms=NOW + 2))
    assert [(one.seen_by, one.seen_ms, one.cleared_ms) for one in listed(database)] == [("ani", NOW + 1, NOW + 2)]


def test_a_second_open_alarm_of_one_code_and_subject_is_refused_by_the_database(database: Database) -> None:
    kept(database, alarm())
    with pytest.raises(IntegrityError):
        kept(database, alarm())


def test_list_alarms_filters_sorts_and_pages(database: Database) -> None:
    made = [alarm(f"store:s{k}", "store-down", NOW + k, severity="warning") for k in range(4)]
    over = alarm("broker", "broker-down", NOW + 9, cleared_ms=NOW + 10)
    kept(database, *made, over)
    with database.session() as session:
        alarms.mark_seen(session, made[2].id, now_ms=NOW, trail=TRAIL)
    assert listed(database, is_open=False) == [over]
    assert len(listed(database, is_open=True)) == 4
    assert [one.id for one in listed(database, seen=True)] == [made[2].id]
    assert len(listed(database, seen=False)) == 4
    assert listed(database, code="broker-down") == listed(database, severity="critical") == [over]
    assert listed(database, subject="store:s1") == [made[1]]
    assert listed(database, code="\x00") == []
    for sort, first in (("since", made[0].id), ("-since", over.id), ("code", over.id), ("subject", over.id)):
        found: list[str] = []
        after = None
        while True:
            with database.reader() as session:
                page, after = alarms.list_alarms(session, sort=sort, limit=2, after=after)
            found += [one.id for one in page]
            if after is None:
                break
        assert (found[0], len(found), len(set(found))) == (first, 5, 5)
    with database.reader() as session, pytest.raises(Invalid, match="sort"):
        alarms.list_alarms(session, sort="severity")


def test_list_alarms_joins_what_is_held_as_it_stands_there(database: Database) -> None:
    known, over, other = (alarm(f"store:s{k}", "store-down", NOW + k) for k in range(3))
    kept(database, known, over, other)
    with database.session() as session:
        alarms.mark_seen(session, over.id, now_ms=NOW, trail=TRAIL)
    fresh = alarm(at_ms=NOW + 9)
    gone = alarm("broker", "broker-down", NOW + 1, cleared_ms=NOW + 2)
    ended = replace(over, cleared_ms=NOW + 5)
    held = (ended, fresh, gone, replace(known, details={"said": "still"}))
    seen = replace(ended, seen_ms=NOW, seen_by="ani")
    assert listed(database, is_open=True, held=held) == [fresh, other, held[3]]
    assert {one.id for one in listed(database, is_open=False, held=held)} == {gone.id, ended.id}
    assert listed(database, seen=True, held=held) == [seen]
    assert listed(database, code="journal-stopped", held=held) == listed(database, subject="journal", held=held) == [fresh]
    assert listed(database, severity="info", held=held) == []
    with database.reader() as session:
        assert alarms.get_alarm(session, over.id, held=held) == seen
        assert alarms.get_alarm(session, fresh.id, held=held) == fresh
        assert alarms.get_alarm(session, other.id, held=held) == other


@pytest.mark.parametrize("sort", [None, "since", "code", "-code", "subject", "-subject"], ids=str)
def test_list_alarms_pages_through_what_is_kept_and_what_is_held_in_one_order(database: Database, sort: str | None) -> None:
    # A database that sorts as a language does puts "ab" before "a-c", and "Ab" beside "ab".
    names = ["a-c", "ab", "Ab", "a", "b", "ba", "b-a", "é"]
    made = [alarm(f"disk:{name}", f"code-{name[::-1]}", NOW + k % 3) for k, name in enumerate(names)]
    kept(database, *made[::2])
    found: list[Alarm] = []
    after = None
    while len(found) < 20:
        with database.reader() as session:
            page, after = alarms.list_alarms(session, sort=sort, limit=3, after=after, held=made[1::2])
        found += page
        if after is None:
            break
    order = (sort or "-since").replace("since", "since_ms")
    name = order.removeprefix("-")
    assert found == sorted(made, key=lambda one: (getattr(one, name), one.id), reverse=order != name)


def test_list_alarms_after_the_cursor_of_another_order_is_refused_with_what_is_held_too(database: Database) -> None:
    kept(database, *(alarm(f"disk:{k}", at_ms=NOW + k) for k in range(3)))
    with database.reader() as session:
        _, after = alarms.list_alarms(session, sort="subject", limit=1, held=[alarm()])
    with pytest.raises(Invalid), database.reader() as session:
        alarms.list_alarms(session, sort="since", after=after, held=[alarm()])


def test_mark_seen_of_what_the_database_has_not_taken_says_so(pilot: Database) -> None:
    held = [alarm()]
    for who, error in (
        (None, NotWritten),
        (principal("operator", Scope("all")), NotWritten),
        (principal("viewer", Scope("all")), NotAllowed),
        (principal("operator", Scope("site", "pilot")), NotFound),
    ):
        with pilot.session() as session, pytest.raises(error):
            _mark(session, held[0].id, seen_by=who, held=held)


@pytest.mark.parametrize(
    ("role", "scope", "seen"),
    [
        ("viewer", Scope("all"), {"journal", "device:pilot:garden", "agency:bpp:dlh"}),
        ("supervisor", Scope("city", "bpp"), {"device:pilot:garden", "agency:bpp:dlh"}),
        ("operator", Scope("agency", "bpp:dlh"), {"device:pilot:garden", "agency:bpp:dlh"}),
        ("partner", Scope("site", "pilot"), {"device:pilot:garden"}),
        ("operator", Scope("agency", "bpp:dkp"), set()),
        ("operator", Scope("city", "bp"), set()),
    ],
)
def test_alarms_are_seen_and_marked_by_those_whose_place_it_is(
    pilot: Database, role: str, scope: Scope, seen: set[str]
) -> None:
    with pilot.session() as session:
        places.create_city(session, "bpp", "Balikpapan", trail=TRAIL)
        places.create_agency(session, "bpp", "dlh", "DLH", trail=TRAIL)
        registry.change_site(session, "pilot", details={"agency": "bpp:dlh"}, trail=TRAIL)
    made = [
        alarm(),
        alarm("device:pilot:garden", "device-offline", site="pilot"),
        alarm("agency:bpp:dlh", "devices-offline", agency="bpp:dlh"),
    ]
    who = principal(role, scope)
    assert {one.subject for one in listed(pilot, seen_by=who, held=made)} == seen
    kept(pilot, *made)
    assert {one.subject for one in listed(pilot, seen_by=who)} == seen
    for one in made:
        with pilot.session() as session:
            if one.subject not in seen:
                with pytest.raises(NotFound):
                    alarms.get_alarm(session, one.id, seen_by=who, held=made)
                for ask in (alarms.get_alarm, _mark):
                    with pytest.raises(NotFound):
                        ask(session, one.id, seen_by=who)
            elif role == "viewer":
                assert alarms.get_alarm(session, one.id, seen_by=who) == one
                with pytest.raises(NotAllowed):
                    _mark(session, one.id, seen_by=who)
            else:
                assert _mark(session, one.id, seen_by=who)[0].seen_by == "ani"


def _mark(session: Session, alarm_id: str, **more: Any) -> tuple[Alarm, bool]:
    return alarms.mark_seen(session, alarm_id, now_ms=NOW, trail=TRAIL, **more)


def test_mark_seen_names_the_first_and_enters_it_into_the_trail_once(database: Database) -> None:
    first = alarm()
    kept(database, first)
    with database.session() as session:
        seen, new = _mark(session, first.id, version=1)
        assert (seen.seen_by, seen.version, new) == ("ani", 2, True)
        other = Trail("budi", "person", NOW + 5)
        again, new = alarms.mark_seen(session, first.id, now_ms=NOW + 5, trail=other)
        assert (again.seen_by, again.seen_ms, new) == ("ani", NOW, False)
        with pytest.raises(Stale, match="ani changed this alarm"):
            alarms.mark_seen(session, first.id, now_ms=NOW, trail=other, version=1)
        entries, _ = list_entries(session, action="alarm.see")
    assert [(entry.actor, entry.target, entry.after) for entry in entries] == [
        ("ani", f"alarm:{first.id}", {"code": "journal-stopped", "subject": "journal", "seen_by": "ani"})
    ]


@pytest.mark.parametrize("name", ["", "x", "1", "0" * 26, "\x00", "a" * 5000])
def test_get_alarm_that_is_not_there_is_not_found(database: Database, name: str) -> None:
    with database.reader() as session, pytest.raises(NotFound):
        alarms.get_alarm(session, name)


def test_prune_forgets_what_is_over_for_long_or_too_much_and_nothing_that_is_open(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = alarm("a", at_ms=NOW - 2 * alarms.KEPT_MS, cleared_ms=NOW - alarms.KEPT_MS - 1)
    ancient = alarm("b", at_ms=NOW - 2 * alarms.KEPT_MS)
    over = [alarm(f"c{k}", at_ms=NOW - 100 + k, cleared_ms=NOW - 50 + k) for k in range(6)]
    kept(database, old, ancient, *over)
    with database.session() as session:
        alarms.prune(session, NOW)
    assert {one.id for one in listed(database)} == {ancient.id, *(one.id for one in over)}
    monkeypatch.setattr(alarms, "KEPT_CLEARED", 2)
    with database.session() as session:
        alarms.prune(session, NOW)
    assert {one.id for one in listed(database)} == {ancient.id, over[4].id, over[5].id}


@pytest.mark.parametrize("words", CODES.values(), ids=CODES)
def test_every_code_has_its_words_in_both_languages_with_the_same_numbers(words: AlarmCode) -> None:
    asked = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in words.words]
    both = sentences(alarm(code=words.name, details=dict.fromkeys(asked[0] - {"title", "part", "store"}, 1.0)))
    assert asked[0] == asked[1]
    assert both["id"] != both["en"]
    assert all(text.endswith(".") and "{" not in text for text in both.values())
    assert words.severity in SEVERITIES
    assert words.raise_after_s <= 60.0 or words.name == "clock-unsynchronised"


def test_the_sentence_of_an_alarm_of_another_version_names_its_code() -> None:
    assert sentences(alarm(code="of-tomorrow"))["en"] == "of-tomorrow: journal."
