# SPDX-License-Identifier: Apache-2.0
"""A person on a running Tirta: invited on the command line, signs in, acts within the roles, is shut out; all of it kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.servers.bench import add_device
from tests.servers.tirta import Tirta

PASSWORD = "kebun raya balikpapan"
OWN = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def tirta(tmp_path: Path) -> Iterator[Tirta]:
    """A service whose sign-in nobody else has kept busy in this minute."""
    with Tirta(tmp_path) as running:
        yield running


def test_an_operator_of_one_site_signs_in_waters_and_is_shut_out(tirta: Tirta) -> None:
    with tirta.client() as client:
        add_device(client, "story")
        client.zones.change("bench:story:1", flow_l_min=10.0)
        client.sites.create("elsewhere", "Elsewhere", "Asia/Jakarta")
    added = tirta.run("person", "add", "story", "--role", "operator", "--on", "site:bench")
    assert added.returncode == 0, added.stderr
    code = re.search(r"code +(\S+)", added.stdout)
    assert code is not None
    with httpx2.Client(base_url=tirta.ready["http"], trust_env=False, timeout=30) as browser:
        chosen = browser.post("/api/v1/invitation", json={"code": code[1], "password": PASSWORD})
        assert chosen.status_code == 200, chosen.text
        entered = browser.post("/api/v1/session", json={"login": "story", "password": PASSWORD})
        assert entered.status_code == 200, entered.text
        browser.headers["cookie"] = entered.headers["set-cookie"].partition(";")[0]  # Secure: not kept over plain HTTP
        assert [site["id"] for site in browser.get("/api/v1/sites").json()["items"]] == ["bench"]
        assert browser.get("/api/v1/sites/elsewhere").status_code == 404
        watering = {"zone": "bench:story:1", "action": "irrigate", "seconds": 5}
        assert browser.post("/api/v1/acts", json=watering).status_code == 403  # says nothing of where it comes from
        assert browser.post("/api/v1/acts", json=watering, headers=OWN).status_code == 201
        assert browser.patch("/api/v1/zones/bench:story:1", json={"litres_day": 9}, headers=OWN).status_code == 403
        assert tirta.run("person", "disable", "story", "--why", "the story ends").returncode == 0
        assert browser.get("/api/v1/sites").status_code == 401

    listed = tirta.run("audit", "list", "--limit", "200").stdout
    for action in ("person.create", "person.invite", "person.accept", "session.open", "act.request", "person.change"):
        assert action in listed, action
    assert '"the story ends"' in listed
    assert PASSWORD not in listed
    verified = tirta.run("audit", "verify")
    assert verified.returncode == 0, verified.stderr
