# SPDX-License-Identifier: Apache-2.0
"""What is asked about, and who asks: two agencies with something of each sort, and a person of each role, signed in.

Invariant: everything is made over HTTP, so that it serves the application in this process and a running service alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.unit.api.house import BED, FEEDING, IRRIGATION, POND, SITE, START_MS, House

__all__ = ["CALLERS", "NOBODY", "PASSWORD", "Ask", "Ground", "furnish", "furnished"]

NOBODY = "nobody"
PASSWORD = "sungai wain di pagi hari"  # none of the description's examples, or a caller might truly change it
AGENCY = "bpp:dlh"
# Who asks, and where each has the role; nobody has not signed in.
CALLERS: Mapping[str, str] = {
    "viewer": f"agency:{AGENCY}",
    "operator": f"agency:{AGENCY}",
    "agronomist": f"agency:{AGENCY}",
    "agency-admin": f"agency:{AGENCY}",
    "supervisor": "*",
    "partner": "site:taman-kota",
    "auditor": "*",
    NOBODY: "",
}

Ask = Callable[..., httpx2.Response]
"""Sends one request: method, path, and `json` or `headers`."""


@dataclass
class Ground:
    """A furnished service.

    Attributes
    ----------
    ask : callable
        Sends a request as nobody.
    known : dict
        Ids of what is there, by the name of the path's parameter, or by the noun before `{record}`.
    cookies : dict
        The session of each caller.
    """

    ask: Ask
    known: dict[str, str]
    cookies: dict[str, str] = field(default_factory=dict)

    def headers(self, caller: str) -> dict[str, str]:
        """Return what a browser of this caller sends with a request from our own pages."""
        if caller == NOBODY:
            return {}
        if caller not in self.cookies:
            self.cookies[caller] = self._enter(caller)
        return {"cookie": self.cookies[caller], "sec-fetch-site": "same-origin"}

    def forget(self, caller: str) -> None:
        """Sign in anew before the caller's next request: this one may have ended the session."""
        self.cookies.pop(caller, None)

    def _enter(self, caller: str) -> str:
        answer = self.ask("POST", "/api/v1/session", json={"login": caller, "password": PASSWORD})
        assert answer.status_code == 200, f"{caller} cannot sign in: {answer.text}"
        return str(answer.headers["set-cookie"].partition(";")[0])


def furnish(ask: Ask, token: str) -> Ground:
    """Put something of each sort there, by somebody with every right, and a person of each role."""
    bearer = {"authorization": f"Bearer {token}"}

    def make(path: str, body: dict[str, Any] | None = None) -> Any:
        answer = ask("POST", f"/api/v1/{path}", json=body or {}, headers=bearer)
        assert answer.status_code in (200, 201), f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    make("cities", {"city": "bpp", "title": "Balikpapan"})
    for agency in ("dlh", "dkp"):
        make("agencies", {"city": "bpp", "agency": agency, "title": agency.upper()})
    make("sites", {**SITE, "agency": AGENCY})
    make("sites", {**SITE, "site": "kolam-kota", "agency": "bpp:dkp"})
    for device in (BED, POND, {**BED, "site": "kolam-kota", "device": "bedeng-9"}):
        make("devices", device)
    zone = "taman-kota:bedeng-1:1"
    schedule = make("schedules", {"zone": zone, "definition": IRRIGATION})
    make("schedules", {"zone": "taman-kota:kolam-1:1", "definition": FEEDING})
    act = make("acts", {"zone": zone, "action": "irrigate", "seconds": 60})
    token_grants = [{"role": "viewer", "on": "site:taman-kota"}]
    made = make("tokens", {"name": "meter", "grants": token_grants, "expires": "2027-09-01T00:00:00Z"})
    known = {
        "city": "bpp",
        "agency": AGENCY,
        "site": "taman-kota",
        "device": "taman-kota:bedeng-1",
        "zone": zone,
        "schedules": schedule["id"],
        "acts": act["id"],
        "tokens": made["id"],
        "quarantine": "1",
    }
    for role, on in CALLERS.items():
        if role != NOBODY:
            _add_person(make, ask, role, [{"role": role, "on": on}])
    known["people"] = _add_person(make, ask, "somebody", [])
    return Ground(ask, known)


def furnished(house: House) -> Ground:
    """Furnish the application in this process, with something measured too."""
    ground = furnish(_asking(house), house.tokens["operator"])
    house.measure("bedeng-1", [START_MS - 60_000, START_MS], soil_moisture=[0.21, 0.2], valve_open=[0.0, 1.0])
    return ground


def _add_person(make: Callable[..., Any], ask: Ask, login: str, grants: list[dict[str, str]]) -> str:
    home = f"agency:{AGENCY}" if login == "somebody" else "*"  # or one caller shuts out another
    person = make("people", {"login": login, "title": login.title(), "home": home, "grants": grants})
    code = make(f"people/{person['id']}/invitation")["code"]
    chosen = ask("POST", "/api/v1/invitation", json={"code": code, "password": PASSWORD})
    assert chosen.status_code == 200, chosen.text
    return str(person["id"])


def _asking(house: House) -> Ask:
    """Return what asks the application in this process."""

    def ask(method: str, path: str, **options: Any) -> httpx2.Response:
        async def send() -> httpx2.Response:
            async with house.client(None) as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    return ask
