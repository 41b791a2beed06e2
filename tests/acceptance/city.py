# SPDX-License-Identifier: Apache-2.0
"""A city on one Tirta, for the stories of those who use it: two agencies, a site of each, and people with browsers.

The stories bring their own devices and play them by hand: they answer commands as the contract says.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

import httpx2

from tests.servers.bench import BenchDevice
from tests.servers.tirta import Tirta, eventually

__all__ = ["PASSWORD", "Browser", "City", "Valve"]

PASSWORD = "kebun raya balikpapan"


class Browser:
    """What somebody holds in the hand: keeps the session, says where a request comes from, speaks Indonesian."""

    def __init__(self, url: str) -> None:
        self.http = httpx2.Client(base_url=url, trust_env=False, timeout=30, headers={"accept-language": "id"})
        self.person: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.http.close()

    def enter(self, login: str, code: str) -> Self:
        """Choose a password with a code, and sign in."""
        self.ask("POST", "invitation", 200, {"code": code, "password": PASSWORD})
        answer = self.ask("POST", "session", 200, {"login": login, "password": PASSWORD})
        self.person = answer.json()
        # Secure: not kept over plain HTTP by itself.
        self.http.headers["cookie"] = answer.headers["set-cookie"].partition(";")[0]
        self.http.headers["sec-fetch-site"] = "same-origin"
        return self

    def ask(self, method: str, path: str, status: int, body: Any = None, **headers: str) -> httpx2.Response:
        """Send a request, check the status of the answer and return it."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.http.request(method, f"/api/v1/{path}", json=body, headers=named)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def get(self, path: str) -> Any:
        """Return what is there."""
        return self.ask("GET", path, 200).json()

    def items(self, path: str) -> list[dict[str, Any]]:
        """Return a list's items."""
        found: list[dict[str, Any]] = self.get(path)["items"]
        return found

    def refused(self, *requests: tuple[str, str, Any], status: int = 403) -> None:
        """Hold that none of these passes; each is method, path, body."""
        for method, path, body in requests:
            self.ask(method, path, status, body)


class City:
    """A running Tirta with agencies `bpp:dlh` (site `taman-kota`) and `bpp:dkp` (site `kolam-kota`); a context manager."""

    def __init__(self, tirta: Tirta) -> None:
        self.tirta = tirta
        self.root = self.browser()
        self.root.http.headers["authorization"] = f"Bearer {tirta.ready['token']}"
        self.root.ask("POST", "cities", 201, {"city": "bpp", "title": "Balikpapan"})
        for agency, site in (("dlh", "taman-kota"), ("dkp", "kolam-kota")):
            self.root.ask("POST", "agencies", 201, {"city": "bpp", "agency": agency, "title": agency.upper()})
            body = {"site": site, "title": site, "timezone": "Asia/Makassar", "agency": f"bpp:{agency}"}
            self.root.ask("POST", "sites", 201, body)
        self.add_device("kolam-kota", "rahasia")  # what nobody of the other agency may see

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.root.http.close()

    def browser(self) -> Browser:
        """Return a browser of somebody who has not signed in."""
        return Browser(self.tirta.ready["http"])

    def add_device(self, site: str, name: str) -> tuple[str, str]:
        """Add a device with one bed, and return its login."""
        zones = [{"zone": 1, "title": name, "type": "bed", "area_m2": 6.0, "root_depth_m": 0.3, "flow_l_min": 10.0}]
        body = {"site": site, "device": name, "kind": "irrigation-controller", "title": name, "zones": zones}
        made = self.root.ask("POST", "devices", 201, body).json()["credential"]
        return made["username"], made["password"]

    def invite(self, login: str, role: str, on: str, home: str = "*") -> Browser:
        """Let somebody in with a role, and return the browser in which they have signed in."""
        body = {"login": login, "title": login.title(), "home": home, "grants": [{"role": role, "on": on}]}
        person = self.root.ask("POST", "people", 201, body).json()
        code = self.root.ask("POST", f"people/{person['id']}/invitation", 201).json()["code"]
        return self.browser().enter(login, code)


class Valve(BenchDevice):
    """A controller of one bed that does what it is told, when the story says so."""

    def begin(self) -> Self:
        """Say what it is, and listen."""
        self.listen()
        about = {"online": True, "kind": "irrigation-controller", "fw": "1.0.0", "boot": 1, "zones": 1, "n": 0, "ledger": []}
        self.publish(about, channel="status", retain=True)
        return self

    def command(self, action: str) -> dict[str, Any]:
        """Wait for a command and return it."""
        found = eventually(lambda: [each for each in self.said("command") if each["action"] == action], f"told to {action}")
        command: dict[str, Any] = found[-1]
        return command

    def answer(self, command: dict[str, Any], *states: str, **result: float) -> None:
        """Tell how it goes."""
        for state in states:
            said = {"id": command["id"], "state": state, "reason": None, "ts": int(time.time() * 1000)}
            said |= {"n": command["n"]} if "n" in command else {}
            said["result"] = result if result and state == states[-1] else None
            self.publish(said, channel="ack")
