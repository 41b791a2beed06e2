# SPDX-License-Identifier: Apache-2.0
"""The typed client: its types against the API's own description, and what it sends again or raises."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from tirta import client as face
from tirta.client import (
    Client,
    Irrigation,
    Point,
    Retry,
    acts,
    devices,
    forecasts,
    people,
    places,
    reports,
    resources,
    schedules,
    suspensions,
    troubles,
    zones,
)
from tirta.client import client as whole
from tirta.errors import ChangedMeanwhile, NotPermitted, NotThere, Refused, ServiceAnswer, ServiceBroken, ServiceUnavailable

DESCRIPTION = json.loads((Path(__file__).parents[3] / "docs/openapi.json").read_text("utf-8"))
NAMED = {  # what the description calls it, where that is not the type's own name with Answer behind it or without
    "Discarded": "DiscardAnswer",
    "Entry": "EntryAnswer",
    "Even": "Parity",
    "Feeding": "FeedingDefinition",
    "Grant": "GrantBody",
    "Holiday": "HolidayBody",
    "Kind": "KindEntry",
    "Quantity": "QuantityEntry",
    "Irrigation": "IrrigationDefinition",
    "Odd": "Parity",
    "Quarantined": "QuarantineEntry",
    "QuarantinedDetail": "QuarantineDetail",
    "Replays": "ReplaysAnswer",
    "Timer": "TimerDefinition",
}
OTHERS = {  # for browsers, for monitoring, or a stream
    "GET /healthz", "GET /metrics", "POST /api/v1/session", "PATCH /api/v1/session", "DELETE /api/v1/session",
    "GET /api/v1/session/oidc", "GET /api/v1/session/oidc/callback", "POST /api/v1/session/password",
    "POST /api/v1/invitation", "GET /api/v1/events",
}  # fmt: skip
MODELS = {
    name: model
    for module in (acts, devices, forecasts, people, places, schedules, suspensions, troubles, whole, zones)
    for name, model in inspect.getmembers(module, inspect.isclass)
    if issubclass(model, msgspec.Struct) and model.__module__ == module.__name__ and not name.startswith("_")
}
SITE: dict[str, Any] = {
    "id": "a", "site": "a", "title": "A", "timezone": "Asia/Makassar", "city": "c", "agency": "c:d", "pillars": [],
    "activity": None, "tags": [], "position": {"type": "Point", "coordinates": [116.8, -1.3]}, "version": 3,
    "created": "2026-11-22T05:00:00Z", "something_newer": 1,
}  # fmt: skip


class Service:
    """Answers in turn, and keeps what it was asked and how long the client waited."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[httpx2.Request] = []
        self.waited: list[float] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, **options: Any) -> Client:
        transport = httpx2.MockTransport(self)
        return Client("http://tirta", "t", transport=transport, sleep=self.waited.append, **options)


def problem(status: int, detail: str = "No.", headers: dict[str, str] | None = None, **more: object) -> httpx2.Response:
    return httpx2.Response(status, json={"title": "T", "status": status, "detail": detail, **more}, headers=headers)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_type_has_exactly_the_fields_of_its_schema(name: str) -> None:
    schemas = DESCRIPTION["components"]["schemas"]
    schema = schemas.get(NAMED.get(name, f"{name}Answer")) or schemas[name]
    wanted = set(schema["properties"])
    config = MODELS[name].__struct_config__
    fields = set(MODELS[name].__struct_fields__) | ({config.tag_field} if config.tag_field else set())
    required = {each.name for each in msgspec.structs.fields(MODELS[name]) if each.required}

    assert fields == wanted
    assert required <= set(schema.get("required", ()))


def calls() -> dict[str, str | None]:
    """Return every call in the sources: "METHOD path" with the names in it left empty, and the type of its answer."""
    modules = (acts, devices, forecasts, people, places, reports, resources, schedules, suspensions, troubles, whole, zones)
    text = "".join(inspect.getsource(module) for module in modules)
    text = text.replace('f"{_QUARANTINE}', 'f"/api/v1/quarantine').replace(", _QUARANTINE,", ', "/api/v1/quarantine",')
    found: dict[str, str | None] = {}
    for model, method, path in re.findall(r'\.one\(\s*(\w+), "([A-Z]+)", f?"([^"]+)"', text):
        found[f"{method} {without_names(path)}"] = model
    for model, path in re.findall(r'\.every\(\s*(\w+), f?"([^"]+)"', text):
        found[f"GET {without_names(path)}"] = model
    for method, path in re.findall(r'\.send\(\s*"([A-Z]+)", f?"([^"]+)"', text):
        found.setdefault(f"{method} {without_names(path)}", None)
    return found


def without_names(path: str) -> str:
    return re.sub(r"{[^}]*}", "{}", path)


def answered(operation: dict[str, Any]) -> str | None:
    """Return the schema of what a route answers; of a list, that of its items."""
    content = next(iter(operation["responses"].items()))[1].get("content", {})
    name: str = content.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
    return name.removeprefix("Listing_").rstrip("_") or None


def test_every_route_but_those_of_browsers_has_its_call_with_the_type_of_its_answer() -> None:
    made = calls()
    # The one has a body only where something is left to do, the other's rows have the names that were asked for.
    made |= {"DELETE /api/v1/devices/{}": "Revoked", "GET /api/v1/zones/{}/series": "SeriesAnswer"}
    wrong = {}
    for path, methods in DESCRIPTION["paths"].items():
        for method, operation in methods.items():
            name = f"{method.upper()} {without_names(path)}"
            schema = answered(operation)
            model = made.get(name, "no call")
            if model != "no call" and schema != (NAMED.get(model, f"{model}Answer") if model else None) and schema != model:
                wrong[name] = (model, schema)
            if model == "no call" and name not in OTHERS:
                wrong[name] = (model, schema)
    assert wrong == {}


def test_get_returns_what_the_service_shows_and_passes_over_what_is_newer() -> None:
    service = Service(httpx2.Response(200, json=SITE))
    site = service.client().sites.get("a")

    assert (site.site, site.version, site.position) == ("a", 3, Point((116.8, -1.3)))
    assert site.created == datetime(2026, 11, 22, 5, tzinfo=UTC)
    assert service.asked[0].headers["authorization"] == "Bearer t"


def test_list_asks_for_the_next_page_only_when_it_is_taken() -> None:
    pages = [{"items": [{**SITE, "id": "a"}], "next": "x"}, {"items": [{**SITE, "id": "b"}], "next": None}]
    service = Service(*(httpx2.Response(200, json=page) for page in pages))
    listed = service.client().sites.list(tag="taman", sort="-title")

    assert next(listed).id == "a"
    assert len(service.asked) == 1
    assert [site.id for site in listed] == ["b"]
    assert dict(service.asked[1].url.params) == {"tag": "taman", "sort": "-title", "limit": "1000", "after": "x"}


def test_change_sends_what_is_given_with_the_version_and_the_reason() -> None:
    service = Service(httpx2.Response(200, json=SITE))
    service.client(why="musim hujan").sites.change("a", version=2, title="B", activity=None, position=Point((1.0, 2.0)))
    (request,) = service.asked

    position = {"type": "Point", "coordinates": [1.0, 2.0]}
    assert json.loads(request.content) == {"title": "B", "activity": None, "position": position}
    assert (request.headers["if-match"], request.headers["x-reason"]) == ('"2"', "musim%20hujan")


def test_create_of_a_schedule_sends_its_sort_and_leaves_first_values_to_the_service() -> None:
    definition = {"type": "irrigation", "low": 0.2, "high": 0.3, "litres_day": 50.0}
    answer = {"id": "s", "zone": "a:b:1", "version": 1, "enabled": True, "created": SITE["created"], "updated": SITE["created"]}
    service = Service(httpx2.Response(201, json={**answer, "definition": {**definition, "soak_s": 600}, "warnings": []}))
    made = service.client().schedules.create("a:b:1", Irrigation(0.2, 0.3, 50.0))

    assert json.loads(service.asked[0].content)["definition"] == definition
    assert made.definition == Irrigation(0.2, 0.3, 50.0, soak_s=600)


@pytest.mark.parametrize(
    ("answer", "error", "shown"),
    [
        (problem(401), NotPermitted, "No."),
        (problem(403), NotPermitted, "No."),
        (problem(404), NotThere, "No."),
        (problem(409), Refused, "No."),
        (problem(412, headers={"etag": '"7"'}), ChangedMeanwhile, "No."),
        (problem(422, errors=[{"field": "title", "detail": "too long"}]), Refused, "title: too long"),
        (problem(500), ServiceBroken, "No."),
        (problem(503), ServiceUnavailable, "No."),
        (problem(429), ServiceUnavailable, "No."),
        (httpx2.Response(502, text="<html>bad gateway"), ServiceBroken, "<html>bad gateway"),
        (httpx2.ConnectError("refused"), ServiceUnavailable, "no answer from http://tirta"),
    ],
)
def test_error_is_raised_by_its_remedy(answer: httpx2.Response | Exception, error: type[ServiceAnswer], shown: str) -> None:
    with pytest.raises(ServiceAnswer, match=shown) as raised:
        Service(answer).client(retry=Retry(attempts=1)).sites.get("a")

    assert type(raised.value) is error
    assert raised.value.status == (answer.status_code if isinstance(answer, httpx2.Response) else 0)
    if isinstance(raised.value, ChangedMeanwhile):
        assert raised.value.version == 7
    if error is Refused and raised.value.status == 422:
        assert isinstance(raised.value, Refused)
        assert raised.value.fields == {"title": "too long"}


def test_get_is_tried_again_as_the_service_asks_and_else_with_doubling_waits() -> None:
    service = Service(
        problem(503, headers={"retry-after": "7"}), httpx2.ReadTimeout("slow"), problem(429), httpx2.Response(200, json=SITE)
    )
    assert service.client().sites.get("a").id == "a"
    assert service.waited == [7.0, 1.0, 2.0]


def test_get_gives_up_after_its_attempts_or_where_the_service_asks_for_too_long() -> None:
    service = Service(*[problem(503) for _ in range(4)])
    with pytest.raises(ServiceUnavailable):
        service.client().sites.get("a")
    assert service.waited == [0.5, 1.0, 2.0]

    service = Service(problem(429, headers={"retry-after": "41"}))
    with pytest.raises(ServiceUnavailable) as raised:
        service.client().sites.get("a")
    assert (service.waited, raised.value.retry_after_s) == ([], 41.0)


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.devices.revoke("a:b"),
        lambda client: client.devices.rotate("a:b"),
        lambda client: client.sites.change("a", title="B"),
    ],
)
@pytest.mark.parametrize("answer", [problem(503), httpx2.ReadTimeout("slow"), httpx2.ReadError("gone")])
def test_change_that_may_have_been_made_is_not_sent_again(
    ask: Callable[[Client], object], answer: httpx2.Response | Exception
) -> None:
    service = Service(answer)
    with pytest.raises(ServiceUnavailable):
        ask(service.client())
    assert (len(service.asked), service.waited) == (1, [])


@pytest.mark.parametrize("answer", [problem(429), httpx2.ConnectError("refused")])
def test_change_that_cannot_have_been_made_is_sent_again(answer: httpx2.Response | Exception) -> None:
    service = Service(answer, httpx2.Response(200, json=SITE))
    assert service.client().sites.change("a", title="B").id == "a"
    assert len(service.asked) == 2


def test_act_is_asked_for_again_with_the_same_key() -> None:
    service = Service(httpx2.ReadTimeout("slow"), problem(409))
    with pytest.raises(Refused):
        service.client().acts.request("a:b:1", "irrigate", seconds=30)

    first, second = (request.headers["idempotency-key"] for request in service.asked)
    assert first == second
    assert len(first) >= 20


def test_credential_is_not_shown_by_its_representation() -> None:
    assert "hush" not in repr(face.Credential("a/b", "hush"))
