# SPDX-License-Identifier: Apache-2.0
"""Acts and the decisions they come from."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from tirta.client.calls import Calls, given

__all__ = [
    "Act",
    "ActDetail",
    "ActProof",
    "ActState",
    "Acts",
    "Amounts",
    "Decision",
    "Decisions",
    "Ground",
    "ProofVerdict",
    "Seen",
    "Sentence",
    "Step",
    "StopAnswer",
    "Valve",
    "ValveTest",
    "ValveTestDetail",
    "ValveTests",
    "Why",
]

ActState = Literal[
    "planned", "held", "sent", "accepted", "running", "unknown", "expired", "skipped", "cancelled", "superseded", "done",
    "failed", "rejected", "indeterminate",
]  # fmt: skip

ProofVerdict = Literal["proved", "doubtful", "disproved", "no-evidence"]


class Amounts(msgspec.Struct, frozen=True):
    """How much was meant, or done."""

    seconds: float | None
    litres: float | None
    grams: float | None


class Sentence(msgspec.Struct, frozen=True):
    """The same in both languages."""

    id: str
    en: str


class ActProof(msgspec.Struct, frozen=True):
    """Whether an act had its effect, by what was measured; `finding` is what speaks against it, or why nothing can be said."""

    verdict: ProofVerdict
    finding: str | None
    judged: datetime | None
    numbers: dict[str, float]
    sentence: Sentence


class Act(msgspec.Struct, frozen=True):
    """One physical act, or a stop."""

    id: str
    device: str
    zone: str | None
    action: str
    origin: str
    version: int
    actor: str
    state: ActState
    reason: str | None
    n: int | None
    amount: Amounts
    result: Amounts
    max_seconds: int | None
    part: int
    parts: int
    planned: datetime
    issued: datetime
    expires: datetime
    sent: datetime | None
    begun: datetime | None
    ended: datetime | None
    override: str | None
    beyond: list[Literal["day", "month", "device"]]
    proof: ActProof | None
    sentence: Sentence


class Step(msgspec.Struct, frozen=True):
    """An act's step from one state to the next."""

    at: datetime
    before: str | None
    state: str
    cause: str
    actor: str


class Seen(msgspec.Struct, frozen=True):
    """One thing that a rule saw; `age_s` of what is measured."""

    name: str
    value: bool | float | str | None
    unit: str | None
    age_s: float | None


class Ground(msgspec.Struct, frozen=True):
    """What was decided by a rule, and the numbers it saw."""

    at: datetime
    rule: str
    acted: bool
    reasons: list[str]
    planned: datetime | None
    inputs: list[Seen]
    thresholds: dict[str, bool | float | str | None]
    calendar: dict[str, bool | float | str | None]


class ActDetail(Act, frozen=True):
    """An act with every step it took, and why."""

    transitions: list[Step]
    why: Sentence
    ground: Ground | None


class Why(msgspec.Struct, frozen=True):
    """Why a zone was acted on at an instant, or was not."""

    zone: str
    at: datetime
    sentence: Sentence
    ground: Ground | None
    act: ActDetail | None


class Decision(msgspec.Struct, frozen=True):
    """What a rule decided for a zone, and the numbers it saw."""

    id: str
    zone: str
    at: datetime
    kind: str
    acted: bool
    reasons: list[str]
    inputs: dict[str, bool | float | None]
    act: str | None
    sentence: Sentence


class StopAnswer(msgspec.Struct, frozen=True):
    """What a stop of all did: how many devices were told, and how many acts withdrawn; of both the first thousand ids."""

    devices: int
    cancelled: int
    stops: list[str]
    withdrawn: list[str]


class Acts:
    """`client.acts`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(
        self,
        *,
        zone: str | None = None,
        device: str | None = None,
        state: ActState | None = None,
        verdict: ProofVerdict | None = None,
        sort: str | None = None,
    ) -> Iterator[Act]:
        """Yield acts, the latest planned first unless told otherwise."""
        return self._calls.every(Act, "/api/v1/acts", zone=zone, device=device, state=state, verdict=verdict, sort=sort)

    def get(self, act: str) -> ActDetail:
        """Return one act with every step it took, and why."""
        return self._calls.one(ActDetail, "GET", f"/api/v1/acts/{act}")

    def request(
        self,
        zone: str,
        action: Literal["irrigate", "feed", "aerate"],
        *,
        seconds: float | UnsetType = UNSET,
        litres: float | UnsetType = UNSET,
        grams: float | UnsetType = UNSET,
        override: str | UnsetType = UNSET,
        key: str | None = None,
    ) -> Act:
        """Ask for an act by hand.

        Parameters
        ----------
        override : str, optional
            Why it may go beyond what is left of the day or the month; takes the permission `override`.
        key : str, optional
            Idempotency key: asking again with the same gives the same act. One is made for this call when absent, so that an
            answer that was lost does not water twice.
        """
        body = {"zone": zone, "action": action, **given(seconds=seconds, litres=litres, grams=grams, override=override)}
        return self._calls.one(Act, "POST", "/api/v1/acts", body=body, key=key or secrets.token_urlsafe(16))

    def stop(self, act: str) -> Act:
        """Withdraw, release or stop an act."""
        return self._calls.one(Act, "POST", f"/api/v1/acts/{act}/stop")

    def settle(
        self,
        act: str,
        state: Literal["done", "failed", "indeterminate"],
        reason: str,
        *,
        seconds: float | UnsetType = UNSET,
        litres: float | UnsetType = UNSET,
        grams: float | UnsetType = UNSET,
    ) -> Act:
        """Tell how an act of unknown end ended, as you saw it, and how you know."""
        body = {"state": state, "reason": reason, **given(seconds=seconds, litres=litres, grams=grams)}
        return self._calls.one(Act, "POST", f"/api/v1/acts/{act}/settle", body=body)

    def stop_zone(self, zone: str, *, key: str | None = None) -> Act:
        """Stop a zone; `key` as with `request`."""
        return self._calls.one(Act, "POST", f"/api/v1/zones/{zone}/stop", key=key or secrets.token_urlsafe(16))

    def stop_device(self, device: str, *, key: str | None = None) -> Act:
        """Stop every zone of a device; `key` as with `request`."""
        return self._calls.one(Act, "POST", f"/api/v1/devices/{device}/stop", key=key or secrets.token_urlsafe(16))

    def stop_site(self, site: str, *, pause_minutes: int | UnsetType = UNSET, key: str | None = None) -> StopAnswer:
        """Stop every device of a site, and have nothing begin there for so long; `key` as with `request`."""
        body, key = given(pause_minutes=pause_minutes), key or secrets.token_urlsafe(16)
        return self._calls.one(StopAnswer, "POST", f"/api/v1/sites/{site}/stop", body=body, key=key)

    def stop_agency(self, agency: str, *, pause_minutes: int | UnsetType = UNSET, key: str | None = None) -> StopAnswer:
        """Stop every device of an agency; as `stop_site`."""
        body, key = given(pause_minutes=pause_minutes), key or secrets.token_urlsafe(16)
        return self._calls.one(StopAnswer, "POST", f"/api/v1/agencies/{agency}/stop", body=body, key=key)

    def stop_city(self, city: str, *, pause_minutes: int | UnsetType = UNSET, key: str | None = None) -> StopAnswer:
        """Stop every device of a city; as `stop_site`."""
        body, key = given(pause_minutes=pause_minutes), key or secrets.token_urlsafe(16)
        return self._calls.one(StopAnswer, "POST", f"/api/v1/cities/{city}/stop", body=body, key=key)


class ValveTest(msgspec.Struct, frozen=True):
    """A test of valves: each of `zones` is opened for `seconds`, one after the other."""

    id: str
    site: str
    seconds: float
    zones: int
    actor: str
    state: Literal["running", "done", "stopped"]
    begun: datetime
    ended: datetime | None
    stopped_by: str | None


class Valve(msgspec.Struct, frozen=True):
    """One valve of a test; without `act` before its turn."""

    zone: str
    act: str | None
    state: ActState | None
    reason: str | None
    result: Amounts | None


class ValveTestDetail(ValveTest, frozen=True):
    """A test with every valve, in the order of their turns."""

    valves: list[Valve]


class ValveTests:
    """`client.valve_tests`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def begin_site(self, site: str, *, key: str | None = None) -> ValveTestDetail:
        """Open each valve of a site for 10 s, one after the other; `key` as with `Acts.request`."""
        key = key or secrets.token_urlsafe(16)
        return self._calls.one(ValveTestDetail, "POST", f"/api/v1/sites/{site}/valve-test", key=key)

    def begin_device(self, device: str, *, key: str | None = None) -> ValveTestDetail:
        """Open each valve of a device for 10 s, one after the other."""
        key = key or secrets.token_urlsafe(16)
        return self._calls.one(ValveTestDetail, "POST", f"/api/v1/devices/{device}/valve-test", key=key)

    def list(self, *, site: str | None = None, sort: str | None = None) -> Iterator[ValveTest]:
        """Yield tests, the latest first unless told otherwise."""
        return self._calls.every(ValveTest, "/api/v1/valve-tests", site=site, sort=sort)

    def get(self, test: str) -> ValveTestDetail:
        """Return one test with what came of each valve."""
        return self._calls.one(ValveTestDetail, "GET", f"/api/v1/valve-tests/{test}")

    def stop(self, test: str) -> ValveTestDetail:
        """Stop a test: the open valve is closed, and no further one opened."""
        return self._calls.one(ValveTestDetail, "POST", f"/api/v1/valve-tests/{test}/stop")


class Decisions:
    """`client.decisions`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def list(self, *, zone: str | None = None, sort: str | None = None) -> Iterator[Decision]:
        """Yield decisions, the latest first unless told otherwise."""
        return self._calls.every(Decision, "/api/v1/decisions", zone=zone, sort=sort)
