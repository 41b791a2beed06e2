# SPDX-License-Identifier: Apache-2.0
"""The audit trail."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from control import audit, registry
from control.access import Place
from control.audit import Trail
from control.database import Database

NOW = 1_795_305_600_000
TRAIL = Trail("ani", "person", NOW, "10.0.0.7", "spring plan")


def fill(database: Database, count: int) -> None:
    with database.session() as session:
        for number in range(count):
            audit.record(session, TRAIL, "site.change", f"site:{number}", before={"title": "a"}, after={"title": f"{number}é"})


def unlocked(database: Database, statement: str) -> None:
    """Do what only somebody with the file itself, or the server's administrator, can do."""
    with database.session() as session:
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            for name in ("audit_no_update", "audit_no_delete"):
                session.execute(text(f"DROP TRIGGER IF EXISTS {name}"))
        session.execute(text(statement))


def test_record_keeps_who_what_where_why_and_only_what_differs(database: Database) -> None:
    with database.session() as session:
        entry = audit.record(
            session,
            TRAIL,
            "zone.change",
            "zone:a:b:1",
            place=Place("bpp", "bpp:dlh", "a"),
            before={"title": "Bed", "litres_day": 400.0},
            after={"title": "Bed", "litres_day": 300.0},
        )
    assert (entry.id, entry.at_ms, entry.actor, entry.actor_kind, entry.address, entry.why) == (
        1, NOW, "ani", "person", "10.0.0.7", "spring plan",
    )  # fmt: skip
    assert (entry.city, entry.agency, entry.site) == ("bpp", "bpp:dlh", "a")
    assert (entry.before, entry.after) == ({"litres_day": 400.0}, {"litres_day": 300.0})
    with database.reader() as session:
        assert audit.list_entries(session)[0] == [entry]


def test_verify_of_an_untouched_trail_finds_nothing_wrong(database: Database) -> None:
    fill(database, 12)
    with database.reader() as session:
        verdict = audit.verify(session)
        last = audit.list_entries(session, limit=1)[0][0]
    assert (verdict.entries, verdict.wrong, verdict.head) == (12, None, last.digest)


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE id = 5", 5),
        ('UPDATE audit SET after = \'{"title": "0"}\' WHERE id = 7', 7),
        ("UPDATE audit SET at_ms = at_ms + 1 WHERE id = 1", 1),
        ("DELETE FROM audit WHERE id = 3", 3),
        ("UPDATE audit SET digest = 'f' WHERE id = 12", 12),
    ],
)
def test_verify_of_a_changed_trail_names_the_first_entry_that_does_not_fit(
    database: Database, statement: str, wrong: int
) -> None:
    fill(database, 12)
    unlocked(database, statement)
    with database.reader() as session:
        assert audit.verify(session).wrong == wrong


def test_verify_of_a_trail_with_two_entries_swapped_names_the_first(database: Database) -> None:
    fill(database, 12)
    for before, after in ((4, 99), (5, 4), (99, 5)):
        unlocked(database, f"UPDATE audit SET id = {after} WHERE id = {before}")
    with database.reader() as session:
        assert audit.verify(session).wrong == 4


def test_verify_of_a_trail_that_was_written_anew_has_another_head(database: Database) -> None:
    fill(database, 3)
    with database.reader() as session:
        noted = audit.verify(session)
    unlocked(database, "DELETE FROM audit")
    with database.session() as session:
        for _ in range(3):
            audit.record(session, TRAIL, "site.change", "site:0", after={"title": "another"})
        later = audit.verify(session)
    assert (later.wrong, later.entries) == (None, noted.entries)
    assert later.head != noted.head


def test_verify_of_a_trail_whose_end_was_cut_off_has_another_head(database: Database) -> None:
    fill(database, 5)
    with database.reader() as session:
        noted = audit.verify(session)
    unlocked(database, "DELETE FROM audit WHERE id > 3")
    with database.reader() as session:
        later = audit.verify(session)
    assert (later.wrong, later.entries) == (None, 3)
    assert later.head != noted.head


def test_a_change_that_fails_leaves_no_entry(database: Database) -> None:
    def fail() -> None:
        with database.session() as session:
            registry.create_site(session, "bpp", "Balikpapan", "Asia/Makassar", now_ms=NOW, trail=TRAIL)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        fail()
    with database.reader() as session:
        assert audit.verify(session).entries == 0


def test_list_entries_goes_page_by_page_from_the_newest(database: Database) -> None:
    fill(database, 5)
    with database.reader() as session:
        first, cursor = audit.list_entries(session, limit=3)
        rest, end = audit.list_entries(session, limit=3, after=cursor)
        only, _ = audit.list_entries(session, target="site:2")
    assert [entry.id for entry in first + rest] == [5, 4, 3, 2, 1]
    assert (end, [entry.id for entry in only]) == (None, [3])
