# SPDX-License-Identifier: Apache-2.0
"""Errors in Bahasa Indonesia and in English."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from api.languages import asked_language, indonesian, translate
from control.errors import Stale
from tests.unit.api.house import IRRIGATION, SITE, House

ROOT = Path(__file__).parents[3]
RAISED = {
    "ApiError", "Conflict", "CrossSite", "Forbidden", "HTTPException", "Invalid", "InvalidField", "NotFound", "TooManyRequests",
    "Unauthenticated", "Unavailable", "ValueError", "__init__", "_unavailable", "problem_response",
}  # fmt: skip
NOT_TOLD = {"{}: {}", "The way of a request"}


def template(node: ast.expr) -> str | None:
    """Return the text of a literal, with {} for what differs."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    return None


def sentences() -> Iterator[tuple[str, str]]:
    """Return every sentence that the source raises, or assigns to be raised as a detail, with where it stands."""
    for path in sorted([*(ROOT / "api").glob("*.py"), *(ROOT / "control").glob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            given: list[ast.expr] = []
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                given = node.args if name in RAISED else []
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "detail":
                given = [node.value]
            for each in given:
                text = template(each)
                if text is not None and " " in text and text not in NOT_TOLD:
                    yield f"{path.name}:{node.lineno}", text


def test_every_sentence_of_an_error_in_the_source_has_its_translation() -> None:
    found = list(sentences())

    assert len(found) > 80
    assert [(where, text) for where, text in found if text not in indonesian().sentences] == []


def test_every_translation_has_as_many_places_as_its_sentence() -> None:
    assert [english for english, words in indonesian().sentences.items() if english.count("{}") != words.count("{}")] == []


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("id", "id"),
        ("id-ID,id;q=0.9,en;q=0.8", "id"),
        ("en-US,en;q=0.9,id;q=0.8", "en"),
        ("in", "id"),
        ("fr, de;q=0.5", "en"),
        ("fr, id;q=0.1", "id"),
        ("*", "en"),
        ("id;q=0", "en"),
        ("id;q=x", "en"),
        (",;;,", "en"),
        ("x" * 100_000, "en"),
    ],
)
def test_asked_language_of_a_header_is_the_preferred_of_the_two(header: str, language: str) -> None:
    assert asked_language(header) == language


def test_translate_keeps_values_and_translates_phrases_within() -> None:
    assert translate("act 01K is done; it is over") == "tindakan 01K berstatus done; sudah selesai"
    assert translate("device 'a:b' is there already; choose another name") == "perangkat 'a:b' sudah ada; pilih nama lain"
    assert translate("there is no site 'nowhere'") == "tidak ada lokasi 'nowhere'"
    changed = str(Stale("schedule", 3, 2, "zone", 0))
    assert translate(changed).startswith("zone mengubah jadwal ini pada 1970-01-01T00:00:00Z: versinya 3, ")
    assert translate("something else entirely") == indonesian().otherwise.replace("{}", "something else entirely")


async def test_every_sort_of_error_is_told_in_the_language_asked_for(house: House, pilot: httpx2.AsyncClient) -> None:
    location = (
        await pilot.post("/api/v1/schedules", json={"zone": "taman-kota:bedeng-1:1", "definition": IRRIGATION})
    ).headers["location"]
    requests = [
        ("GET", "/api/v1/sites/nowhere", None, {}),
        ("PUT", "/api/v1/sites", None, {}),
        ("POST", "/api/v1/sites", SITE, {}),
        ("POST", "/api/v1/sites", {**SITE, "title": 7, "colour": "red"}, {}),
        ("GET", "/api/v1/sites?limit=0", None, {}),
        ("PUT", location, {"definition": IRRIGATION}, {"if-match": '"9"'}),
        ("PUT", location, {"definition": {**IRRIGATION, "low": 0.9}}, {}),
        ("GET", "/nothing", None, {}),
        ("GET", "/api/v1/sites", None, {"authorization": "Bearer wrong"}),
        ("POST", "/api/v1/session", {"login": "a", "password": "b"}, {}),
    ]
    for method, path, body, headers in requests:
        told = {}
        for language in ("id", "en"):
            answer = await pilot.request(method, path, json=body, headers={**headers, "accept-language": language})
            assert answer.headers["content-language"] == language
            assert "accept-language" in answer.headers["vary"].lower()
            assert int(answer.headers["content-length"]) == len(answer.content)
            told[language] = answer.json()
        assert told["id"]["title"] == indonesian().titles[str(told["id"]["status"])]
        assert told["id"]["status"] == told["en"]["status"]
        assert told["id"]["detail"] != told["en"]["detail"], path
        assert indonesian().otherwise[:20] not in str(told["id"]), told["id"]
        fields = [[error["field"] for error in each.get("errors", [])] for each in told.values()]
        assert fields[0] == fields[1]


async def test_a_person_is_told_in_the_own_language_whatever_the_browser_asks_for(
    house: House, api: httpx2.AsyncClient
) -> None:
    made = await api.post(
        "/api/v1/people", json={"login": "ani", "title": "A", "home": "*", "grants": [{"role": "viewer", "on": "*"}]}
    )
    code = (await api.post(f"{made.headers['location']}/invitation")).json()["code"]
    async with house.client(None) as client:
        await client.post("/api/v1/invitation", json={"code": code, "password": "kebun raya balikpapan"})
        signed_in = await client.post("/api/v1/session", json={"login": "ani", "password": "kebun raya balikpapan"})
        client.headers["cookie"] = signed_in.headers["set-cookie"].partition(";")[0]
        first = await client.get("/api/v1/sites/nowhere", headers={"accept-language": "en"})
        own = {"sec-fetch-site": "same-origin"}
        assert (await client.patch("/api/v1/session", json={"language": "en"}, headers=own)).json()["language"] == "en"
        second = await client.get("/api/v1/sites/nowhere", headers={"accept-language": "id"})

    assert first.json()["detail"] == "tidak ada lokasi 'nowhere'"
    assert second.json()["detail"] == "there is no site 'nowhere'"
