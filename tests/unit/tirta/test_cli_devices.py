# SPDX-License-Identifier: Apache-2.0
"""Devices on the command line while the service is stopped: what is in the registry, and in the trail."""

from __future__ import annotations

import json
from collections.abc import Callable

from typer.testing import Result

from control import places, registry
from control.audit import Trail
from control.database import open_database
from tirta.errors import NotPossible
from tirta.local import account, local_trail, local_why

Run = Callable[..., Result]
KIND = ("--kind", "pond-feeder")
TRAIL = Trail("tester", "local", 1_795_305_600_000)


def add_agencies(url: str, *names: str) -> None:
    database = open_database(url)
    with database.session() as session:
        places.create_city(session, "kota", "Kota", trail=TRAIL)
        for name in names:
            places.create_agency(session, "kota", name, name, trail=TRAIL)
    database.close()


def test_every_change_of_a_device_is_in_the_trail_with_the_account_and_the_reason(run: Run) -> None:
    for command in (("add", "taman:kolam", *KIND), ("rotate", "taman:kolam"), ("revoke", "taman:kolam")):
        assert run("device", *command, "--why", f"to {command[0]}").exit_code == 0
    entries = [json.loads(line) for line in run("audit", "list", "--json").output.splitlines()][::-1]

    assert [entry["action"] for entry in entries] == [
        "city.create", "agency.create", "site.create", "device.create", "device.credential", "device.revoke",
    ]  # fmt: skip
    assert {(entry["actor"], entry["address"]) for entry in entries} == {("command-line", f"account {account()}")}
    assert [entry["why"] for entry in entries[3:]] == ["to add", "to rotate", "to revoke"]
    assert "password" not in json.dumps(entries)


def test_add_at_a_new_site_asks_whose_it_is_where_there_are_several_agencies(run: Run, url: str) -> None:
    add_agencies(url, "dlh", "dkp")
    unclear = run("device", "add", "taman:kolam", *KIND)
    chosen = run("device", "add", "taman:kolam", *KIND, "--agency", "kota:dkp")
    second = run("device", "add", "taman:kolam-2", *KIND)

    assert isinstance(unclear.exception, NotPossible)
    assert "--agency: kota:dkp, kota:dlh" in str(unclear.exception)
    assert (chosen.exit_code, second.exit_code) == (0, 0)
    database = open_database(url)
    with database.reader() as session:
        assert registry.get_site(session, "taman").agency == "kota:dkp"
        assert [device.key for device in registry.list_devices(session)[0]] == ["taman:kolam", "taman:kolam-2"]
    database.close()


def test_add_at_a_new_site_takes_the_only_agency_there_is(run: Run, url: str) -> None:
    add_agencies(url, "dlh")
    assert run("device", "add", "taman:kolam", *KIND).exit_code == 0
    database = open_database(url)
    with database.reader() as session:
        assert registry.get_site(session, "taman").agency == "kota:dlh"
    database.close()


def test_local_why_names_the_account_before_the_reason() -> None:
    assert local_why() == f"command line, account {account()}"
    assert local_why("broken pump") == f"command line, account {account()}: broken pump"
    assert local_trail("broken pump").why == "broken pump"
