# SPDX-License-Identifier: Apache-2.0
"""People, their passwords, invitations and sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from argon2 import PasswordHasher

from control import audit, invitations, people, sessions
from control.access import EVERYWHERE, Grant, Scope
from control.audit import Trail
from control.database import Database
from control.errors import Conflict, Invalid, NotFound, Stale, TooManyTries, WrongCredentials
from control.passwords import PasswordConfig, Passwords
from control.people import Person
from control.sessions import SessionConfig, SignedIn
from control.throttle import Throttle, ThrottleConfig, network_of

NOW = 1_795_305_600_000
TRAIL = Trail("tester", "local", NOW, "10.0.0.7")
PASSWORD = "kebun raya balikpapan"
WEAK = Passwords(PasswordConfig(memory_kib=19 * 1024, passes=2))
CONFIG = SessionConfig(idle_s=600, longest_s=3600)


class Wall:
    """A time that the test moves. [s]"""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def ani(database: Database) -> Person:
    """A person who has chosen a password."""
    with database.session() as session:
        made = people.create_person(session, "ani", "Ani", home=EVERYWHERE, grants=[Grant("viewer")], trail=TRAIL)
        code = invitations.invite(session, made.id, trail=TRAIL).code
    return invitations.accept(database, code, PASSWORD, WEAK, trail=TRAIL)


def enter(database: Database, login: str = "ani", password: str = PASSWORD, throttle: Throttle | None = None) -> SignedIn:
    return sessions.sign_in(database, login, password, WEAK, throttle or Throttle(Wall()), trail=TRAIL)


def test_sign_in_opens_a_new_session_each_time_and_the_file_holds_neither_it_nor_the_password(
    database: Database, ani: Person, tmp_path: Path
) -> None:
    first, second = enter(database), enter(database)
    assert first.text != second.text
    with database.reader() as session:
        found = sessions.check_session(session, first.text, CONFIG, now_ms=NOW)
    assert found is not None
    assert (found[0].name, found[0].kind, found[0].person_id, found[0].language) == ("ani", "person", ani.id, "id")
    database.close()
    for text in (first.text, second.text, PASSWORD):
        assert not any(text.encode() in file.read_bytes() for file in tmp_path.iterdir())


@pytest.mark.parametrize(("login", "password"), [("ani", "wrong password"), ("nobody", PASSWORD), ("\x00", PASSWORD), ("", "")])
def test_sign_in_with_anything_wrong_says_the_same_and_is_entered_into_the_trail(
    database: Database, ani: Person, login: str, password: str
) -> None:
    with pytest.raises(WrongCredentials) as caught:
        enter(database, login, password)
    assert str(caught.value) == WrongCredentials.__doc__
    with database.reader() as session:
        assert audit.list_entries(session, limit=1)[0][0].action == "session.refused"


def test_sign_in_of_somebody_disabled_or_without_a_password_is_refused(database: Database, ani: Person) -> None:
    with database.session() as session:
        people.create_person(session, "budi", "Budi", home=EVERYWHERE, trail=TRAIL)
        people.change_person(session, ani.id, disabled=True, trail=TRAIL)
    for login in ("ani", "budi"):
        with pytest.raises(WrongCredentials):
            enter(database, login)


def test_sign_in_with_an_old_hash_makes_a_new_one_of_the_same_password(database: Database, ani: Person) -> None:
    strong = Passwords(PasswordConfig(memory_kib=20 * 1024, passes=2))
    sessions.sign_in(database, "ani", PASSWORD, strong, Throttle(Wall()), trail=TRAIL)
    with database.reader() as session:
        row = session.get_one(people.PersonRow, ani.id)
        assert row.password_hash is not None
        assert row.password_hash.startswith("$argon2id$v=19$m=20480,t=2,p=1$")
        assert not strong.outdated(row.password_hash)
        assert strong.verify(row.password_hash, PASSWORD)


def test_passwords_as_they_are_made_are_above_the_least_that_owasp_asks_for() -> None:
    config = PasswordConfig()
    assert (config.memory_kib >= 19 * 1024, config.passes >= 2) == (True, True)


def test_sign_in_after_too_many_failures_waits_and_the_wait_grows(database: Database, ani: Person) -> None:
    wall = Wall()
    throttle = Throttle(wall, ThrottleConfig(account=3, first_s=2.0))
    for _ in range(3):
        with pytest.raises(WrongCredentials):
            enter(database, password="wrong password", throttle=throttle)
    with pytest.raises(TooManyTries) as caught:
        enter(database, throttle=throttle)
    assert caught.value.retry_after_s == 2
    wall.now_s = 2.5
    with pytest.raises(WrongCredentials):
        enter(database, password="wrong password", throttle=throttle)
    with pytest.raises(TooManyTries, match="4 s"):
        enter(database, throttle=throttle)
    wall.now_s = 10
    assert enter(database, throttle=throttle).person.login == "ani"


def test_sign_in_for_an_unknown_name_waits_as_long_as_for_a_known_one(database: Database, ani: Person) -> None:
    waits = []
    for login in ("ani", "nobody"):
        throttle = Throttle(Wall(), ThrottleConfig(account=2))
        for _ in range(2):
            with pytest.raises(WrongCredentials):
                enter(database, login, "wrong password", throttle)
        with pytest.raises(TooManyTries) as caught:
            enter(database, login, "wrong password", throttle)
        waits.append(caught.value.retry_after_s)
    assert waits[0] == waits[1]


def fail(throttle: Throttle, account: str, address: str) -> None:
    with pytest.raises(WrongCredentials), throttle.attempt(account, address):
        raise WrongCredentials


def passes(throttle: Throttle, account: str, address: str) -> bool:
    """Tell whether an attempt would be let through now."""
    try:
        with throttle.attempt(account, address):
            return True
    except TooManyTries:
        return False


def test_throttle_remembers_no_more_than_its_size() -> None:
    throttle = Throttle(Wall(), ThrottleConfig(account=1, network=10**9, size=10))
    for number in range(50):
        fail(throttle, f"account-{number}", "10.0.0.7")
    assert passes(throttle, "account-1", "10.0.0.8")
    assert not passes(throttle, "account-49", "10.0.0.8")


def test_throttle_holds_up_an_address_that_tries_many_accounts() -> None:
    throttle = Throttle(Wall(), ThrottleConfig(network=20))
    for number in range(20):
        fail(throttle, f"account-{number}", "10.0.0.7")
    assert not passes(throttle, "another", "10.0.0.7")
    assert passes(throttle, "another", "10.0.0.8")


def test_throttle_takes_all_addresses_of_an_ipv6_network_for_one() -> None:
    throttle = Throttle(Wall(), ThrottleConfig(network=20))
    for number in range(20):
        fail(throttle, f"account-{number}", f"2001:db8:0:1::{number:x}")
    assert not passes(throttle, "another", "2001:db8:0:1:ffff::1")
    assert passes(throttle, "another", "2001:db8:0:2::1")
    assert [network_of(text) for text in ("::ffff:10.0.0.7", "fe80::1%eth0", "10.0.0.7", "unix", "")] == [
        "10.0.0.7",
        "fe80::/64",
        "10.0.0.7",
        "unix",
        "",
    ]


def test_throttle_counts_attempts_under_way_so_that_many_at_once_are_no_way_around_it() -> None:
    wall = Wall()
    throttle = Throttle(wall, ThrottleConfig(account=3))
    with throttle.attempt("ani", "10.0.0.1"), throttle.attempt("ani", "10.0.0.2"), throttle.attempt("ani", "10.0.0.3"):
        assert not passes(throttle, "ani", "10.0.0.4")
    assert passes(throttle, "ani", "10.0.0.4")
    for _ in range(3):
        fail(throttle, "ani", "10.0.0.1")
    wall.now_s = 1000
    with throttle.attempt("ani", "10.0.0.1"):
        assert not passes(throttle, "ani", "10.0.0.4"), "after the wait, one at a time"


def test_throttle_lets_an_account_in_where_it_is_at_home_whatever_others_fail_elsewhere() -> None:
    throttle = Throttle(Wall(), ThrottleConfig(account=3))
    throttle.succeeded("ani", "10.0.0.1")
    for number in range(3):
        fail(throttle, "ani", f"10.9.9.{number}")
    assert not passes(throttle, "ani", "10.9.9.9")
    assert passes(throttle, "ani", "10.0.0.1")
    for _ in range(3):
        fail(throttle, "ani", "10.0.0.1")
    assert not passes(throttle, "ani", "10.0.0.1")


def test_throttle_keeps_sorts_of_accounts_apart() -> None:
    throttle = Throttle(Wall(), ThrottleConfig(account=1))
    fail(throttle, "10.0.0.1", "10.0.0.9")
    with throttle.attempt("10.0.0.1", "10.0.0.1", sort="invitation"):
        pass
    assert not passes(throttle, "10.0.0.1", "10.0.0.1")


def test_passwords_refuse_more_than_may_wait() -> None:
    passwords = Passwords(PasswordConfig(memory_kib=64, passes=1, parallel=1, waiting=0))
    with passwords._turn(), pytest.raises(TooManyTries):
        passwords.verify(None, PASSWORD)
    assert not passwords.verify(None, PASSWORD)


def test_sign_in_while_the_password_is_changed_does_not_let_the_old_one_in(database: Database, ani: Person) -> None:
    class Changing(Passwords):
        def verify(self, kept: str | None, password: str) -> bool:
            right = super().verify(kept, password)
            invitations.change_password(database, ani.id, PASSWORD, "another long password", WEAK, trail=TRAIL)
            return right

    changing = Changing(PasswordConfig(memory_kib=20 * 1024, passes=2))  # would write the old one's hash anew
    with pytest.raises(WrongCredentials):
        sessions.sign_in(database, "ani", PASSWORD, changing, Throttle(Wall()), trail=TRAIL)
    assert enter(database, password="another long password").person.login == "ani"


def test_sign_in_hashes_as_often_for_nobody_as_for_somebody(
    database: Database, ani: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    WEAK.verify(None, "x")  # nobody's hash is made the first time
    with database.session() as session:
        people.create_person(session, "budi", "Budi", home=EVERYWHERE, trail=TRAIL)
    hashed: list[str] = []
    original = PasswordHasher.verify

    def verify(self: PasswordHasher, kept: str | bytes, password: str | bytes) -> Literal[True]:
        hashed.append(str(kept).rpartition("$")[0].rpartition("$")[0])
        return original(self, kept, password)

    monkeypatch.setattr(PasswordHasher, "verify", verify)
    for login in ("ani", "budi", "nobody", "\x00", "ａｎｉ", "ANI", "ani "):
        with pytest.raises(WrongCredentials):
            enter(database, login, "wrong password")
    assert hashed == ["$argon2id$v=19$m=19456,t=2,p=1"] * 7


def test_sign_in_of_an_unknown_name_does_not_keep_what_was_typed(database: Database, ani: Person) -> None:
    with pytest.raises(WrongCredentials):
        enter(database, PASSWORD, "ani")
    with database.reader() as session:
        assert not any(PASSWORD in str(entry) for entry in audit.list_entries(session)[0])


@pytest.mark.parametrize(("later_s", "lives"), [(599, True), (600, False)])
def test_check_session_ends_one_that_nobody_uses(database: Database, ani: Person, later_s: int, lives: bool) -> None:
    text = enter(database).text
    with database.reader() as session:
        assert (sessions.check_session(session, text, CONFIG, now_ms=NOW + later_s * 1000) is not None) is lives


def test_check_session_ends_one_that_is_used_all_day_and_one_from_the_future(database: Database, ani: Person) -> None:
    text = enter(database).text
    with database.session() as session:
        for later_s in range(500, 3600, 500):
            assert sessions.check_session(session, text, CONFIG, now_ms=NOW + later_s * 1000) is not None
            sessions.touch_sessions(session, [text], NOW + later_s * 1000)
        assert sessions.check_session(session, text, CONFIG, now_ms=NOW + 3_600_000) is None
        assert sessions.check_session(session, text, CONFIG, now_ms=NOW - 3_600_000) is None


def test_end_session_and_disabling_end_it_at_once(database: Database, ani: Person) -> None:
    first, second = enter(database).text, enter(database).text
    with database.session() as session:
        sessions.end_session(session, first, trail=TRAIL)
        assert sessions.check_session(session, first, CONFIG, now_ms=NOW) is None
        assert sessions.check_session(session, second, CONFIG, now_ms=NOW) is not None
        people.change_person(session, ani.id, disabled=True, trail=TRAIL)
        people.change_person(session, ani.id, disabled=False, trail=TRAIL)
        assert sessions.check_session(session, second, CONFIG, now_ms=NOW) is None


@pytest.mark.parametrize("text", ["", "x", "é", "\ud800", "x" * 10_000])
def test_check_session_of_anything_else_is_none(database: Database, ani: Person, text: str) -> None:
    with database.reader() as session:
        assert sessions.check_session(session, text, CONFIG, now_ms=NOW) is None


def code_for(database: Database, person: Person) -> str:
    with database.session() as session:
        return invitations.invite(session, person.id, trail=TRAIL).code


def test_accept_takes_a_code_once_and_ends_sessions(database: Database, ani: Person) -> None:
    text, code = enter(database).text, code_for(database, ani)
    invitations.accept(database, code, "another long password", WEAK, trail=TRAIL)
    with database.reader() as session:
        assert sessions.check_session(session, text, CONFIG, now_ms=NOW) is None
    with pytest.raises(NotFound, match="invitation"):
        invitations.accept(database, code, "another long password", WEAK, trail=TRAIL)
    assert enter(database, password="another long password").person.login == "ani"


def test_accept_with_an_old_replaced_or_unknown_code_is_refused(database: Database, ani: Person) -> None:
    replaced, code = code_for(database, ani), code_for(database, ani)
    later = Trail("tester", "local", NOW + invitations.INVITED_MS)
    for text, trail in ((replaced, TRAIL), (code, later), ("x", TRAIL), ("é", TRAIL), ("x" * 1000, TRAIL)):
        with pytest.raises(NotFound, match="invitation"):
            invitations.accept(database, text, PASSWORD, WEAK, trail=trail)


@pytest.mark.parametrize("password", ["short", "x" * 201, "ani" * 4, "ANI" * 4])
def test_accept_with_a_bad_password_leaves_the_code_good(database: Database, ani: Person, password: str) -> None:
    code = code_for(database, ani)
    with pytest.raises(Invalid, match="password"):
        invitations.accept(database, code, password, WEAK, trail=TRAIL)
    assert invitations.accept(database, code, "another long password", WEAK, trail=TRAIL).id == ani.id


@pytest.mark.parametrize("how", ["more roles", "disabled", "password"])
def test_a_code_ends_when_its_holder_could_do_more_with_it_than_who_made_it_knew(
    database: Database, ani: Person, how: str
) -> None:
    code = code_for(database, ani)
    if how == "password":
        invitations.change_password(database, ani.id, PASSWORD, "another long password", WEAK, trail=TRAIL)
    else:
        with database.session() as session:
            if how == "more roles":
                people.grant_roles(session, ani.id, [Grant("viewer"), Grant("supervisor")], trail=TRAIL)
            else:
                people.change_person(session, ani.id, disabled=True, trail=TRAIL)
                people.change_person(session, ani.id, disabled=False, trail=TRAIL)
    with pytest.raises(NotFound, match="invitation"):
        invitations.accept(database, code, "yet another password", WEAK, trail=TRAIL)


def test_a_code_outlives_fewer_roles(database: Database, ani: Person) -> None:
    code = code_for(database, ani)
    with database.session() as session:
        people.grant_roles(session, ani.id, [], trail=TRAIL)
    assert invitations.accept(database, code, "another long password", WEAK, trail=TRAIL).id == ani.id


def test_change_password_needs_the_old_one(database: Database, ani: Person) -> None:
    with pytest.raises(Invalid, match="old"):
        invitations.change_password(database, ani.id, "wrong password", "another long password", WEAK, trail=TRAIL)
    invitations.change_password(database, ani.id, PASSWORD, "another long password", WEAK, trail=TRAIL)
    with pytest.raises(WrongCredentials):
        enter(database)


def test_hashing_holds_up_nobodys_writing(database: Database, ani: Person) -> None:
    class Curious(Passwords):
        def hash(self, password: str) -> str:
            with database.session() as session:  # one writer at a time: it would wait for ever
                audit.record(session, TRAIL, "site.change", "site:x")
            return super().hash(password)

    curious = Curious(PasswordConfig(memory_kib=64, passes=1))
    invitations.accept(database, code_for(database, ani), "another long password", curious, trail=TRAIL)
    invitations.change_password(database, ani.id, "another long password", PASSWORD, curious, trail=TRAIL)
    assert enter(database).person.login == "ani"


@pytest.mark.parametrize("how", ["disable", "grant"])
def test_of_two_administrators_who_shut_each_other_out_one_stays(database: Database, ani: Person, how: str) -> None:
    with database.session() as session:
        people.grant_roles(session, ani.id, [Grant("supervisor")], trail=TRAIL)
        budi = people.create_person(session, "budi", "Budi", home=EVERYWHERE, grants=[Grant("supervisor")], trail=TRAIL)

    def shut_out(person: Person, by: str) -> None:
        trail = Trail(by, "person", NOW)
        with database.session() as session:
            if how == "disable":
                people.change_person(session, person.id, disabled=True, trail=trail)
            else:
                people.grant_roles(session, person.id, [Grant("viewer")], trail=trail)

    shut_out(budi, "ani")
    with pytest.raises(Conflict, match="last"):
        shut_out(ani, "budi")
    with database.session() as session:  # who holds the data folder may
        people.change_person(session, ani.id, disabled=True, trail=TRAIL)


@pytest.mark.parametrize("login", ["", "a", "Ani", "ani budi", "-ani", "x" * 101, "an\x00i"])
def test_create_person_with_a_login_that_does_not_do_names_the_field(database: Database, login: str) -> None:
    with database.session() as session, pytest.raises(Invalid) as caught:
        people.create_person(session, login, "Ani", home=EVERYWHERE, trail=TRAIL)
    assert caught.value.field == "login"


def test_create_person_twice_is_a_conflict_and_at_an_unknown_home_not_found(database: Database, ani: Person) -> None:
    with database.session() as session, pytest.raises(Conflict, match="ani"):
        people.create_person(session, "ani", "Ani", home=EVERYWHERE, trail=TRAIL)
    with database.session() as session, pytest.raises(NotFound, match="agency"):
        people.create_person(session, "budi", "Budi", home=Scope("agency", "a:b"), trail=TRAIL)


def test_grant_roles_from_an_old_version_is_stale(database: Database, ani: Person) -> None:
    with database.session() as session:
        people.grant_roles(session, ani.id, [Grant("operator")], version=ani.version, trail=TRAIL)
        with pytest.raises(Stale, match="tester"):
            people.grant_roles(session, ani.id, [], version=ani.version, trail=TRAIL)
        assert people.get_person(session, ani.id).grants == (Grant("operator"),)


def test_the_trail_of_people_holds_no_secret(database: Database, ani: Person) -> None:
    enter(database)
    with database.reader() as session:
        entries = audit.list_entries(session)[0]
    assert [entry.action for entry in entries][::-1] == ["person.create", "person.invite", "person.accept", "session.open"]
    assert not any(PASSWORD in str(entry) or "argon2" in str(entry) for entry in entries)
