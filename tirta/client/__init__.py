# SPDX-License-Identifier: Apache-2.0
"""A typed client of the HTTP API."""

from tirta.client.acts import Act, ActDetail, ActState, Amounts, Decision, Sentence, Step
from tirta.client.calls import Retry
from tirta.client.client import Catalogue, Client, ClockReading, Health, Kind, Part, Quantity
from tirta.client.devices import Credential, Device, Gap, Gaps, NewDevice, SessionLost
from tirta.client.people import Entry, Grant, Invitation, NewToken, Person, Session, Token, Verdict
from tirta.client.places import Agency, City, Point, Site
from tirta.client.schedules import Definition, Feeding, Irrigation, Meal, Schedule
from tirta.client.troubles import Alarm, Quarantined, QuarantinedDetail, Replay, Replays
from tirta.client.zones import LatestValue, NewZone, Parameters, Row, Zone

__all__ = [
    "Act",
    "ActDetail",
    "ActState",
    "Agency",
    "Alarm",
    "Amounts",
    "Catalogue",
    "City",
    "Client",
    "ClockReading",
    "Credential",
    "Decision",
    "Definition",
    "Device",
    "Entry",
    "Feeding",
    "Gap",
    "Gaps",
    "Grant",
    "Health",
    "Invitation",
    "Irrigation",
    "Kind",
    "LatestValue",
    "Meal",
    "NewDevice",
    "NewToken",
    "NewZone",
    "Parameters",
    "Part",
    "Person",
    "Point",
    "Quantity",
    "Quarantined",
    "QuarantinedDetail",
    "Replay",
    "Replays",
    "Retry",
    "Row",
    "Schedule",
    "Sentence",
    "Session",
    "SessionLost",
    "Site",
    "Step",
    "Token",
    "Verdict",
    "Zone",
]  # fmt: skip
