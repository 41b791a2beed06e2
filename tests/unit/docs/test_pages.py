# SPDX-License-Identifier: Apache-2.0
"""What a page has to list is listed there: topics, codes, routes, states, reasons, metrics."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.app import PREFIX
from api.openapi import describe
from control.states import STEPS, WORDS
from gateway import Channel, load_catalogue
from gateway.messages import ACK_STATES
from gateway.quantities import ACTIONS
from ingest.pipeline import IngestConfig
from ingest.store.touched import TOUCHED_MAX
from ingest.tail import MAX_TAIL_BURSTS, MAX_TAIL_ROWS
from ingest.writer import WriterConfig
from rules import Reason, names
from simulators.faults import KINDS_OF_FAULT
from tests.unit.api.house import House, open_house

ROOT = Path(__file__).parents[3]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


def first_cells(text: str) -> list[str]:
    """Return what stands in backticks in the first cell of each row of the page's tables."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]


def section(text: str, heading: str) -> str:
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path) as opened:
        yield opened


def error_codes() -> set[str]:
    """Return every code that telemetry is refused with: the first argument of what refuses, and names of fields."""
    found: set[str] = set()
    for path in (ROOT / "gateway/payloads.py", ROOT / "ingest/decode.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(CODE, node.value):
                found.add(node.value)
    return found


CODE = r"malformed|(too|not|bad|ts|unknown|wrong|out)(-[a-z]+)+"


def test_contract_page_has_every_topic_action_and_kind() -> None:
    text, catalogue = page("mqtt-contract.md"), load_catalogue()
    topics = [word.rpartition("/")[2] for word in first_cells(section(text, "Topics"))]

    assert topics == [channel.value for channel in Channel]
    assert {*ACTIONS, "ping"} <= set(first_cells(section(text, "Commands and acks")))
    assert set(first_cells(section(text, "Kinds of device"))) == set(catalogue.kinds)


def test_contract_page_has_every_quantity_of_a_kind_with_its_unit() -> None:
    rows = {
        line.split("`")[1]: line for line in section(page("mqtt-contract.md"), "Kinds of device").splitlines() if "| `" in line
    }

    missing = [
        f"{kind.name}: {quantity.name}"
        for kind in load_catalogue().kinds.values()
        for quantity in kind.quantities
        if not re.search(rf"\b{quantity.name}\b(?: \({re.escape(quantity.unit)}|,)", rows[kind.name])
    ]
    assert missing == []


def test_contract_page_has_exactly_the_error_codes_of_the_code() -> None:
    assert set(first_cells(section(page("mqtt-contract.md"), "Telemetry"))) - {"ts", "boot", "seq", "zone"} == error_codes()


def test_contract_page_has_every_state_and_reason_of_an_ack() -> None:
    text = section(page("mqtt-contract.md"), "Commands and acks")

    vectors = (ROOT / "tests/contract/vectors/acks.json").read_text("utf-8")
    reasons = set(re.findall(r'"reason\\*": *\\*"([a-z-]+)', vectors)) - {"valve-stuck"}  # stands for one that is not known yet

    assert set(first_cells(text)) >= set(ACK_STATES)
    assert len(reasons) > 5
    assert [word for word in reasons if f"`{word}`" not in text] == []


def test_api_page_has_exactly_the_routes_of_the_application(house: House) -> None:
    described = describe(house.app, "0")["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in described.items() for method in methods}
    listed = first_cells(section(page("api.md"), "Routes"))

    assert set(listed) == routes | {"GET /openapi.json"}
    assert len(listed) == len(set(listed))
    assert all(route.split()[1].startswith(PREFIX) for route in listed[4:])


def test_acts_page_has_exactly_the_states_and_the_steps_of_the_table() -> None:
    rows = [line.split("|") for line in section(page("acts.md"), "States of an act").splitlines() if line.startswith("| `")]

    assert {row[1].strip(" `"): set(re.findall(r"`([a-z]+)`", row[4])) for row in rows} == {
        state: set(after) for state, after in STEPS.items()
    }


def test_acts_page_draws_exactly_the_steps_of_the_table() -> None:
    drawn = re.findall(r"^ +([a-z]+) --> ([a-z]+)", section(page("acts.md"), "Steps"), re.MULTILINE)
    steps = {(before, after) for before, after in drawn if after != "word"}
    steps |= {(before, word) for before, after in drawn if after == "word" for word in WORDS}

    assert steps == {(before, after) for before, allowed in STEPS.items() for after in allowed}
    assert len(set(drawn)) == len(drawn)


def test_api_page_has_every_sort_of_event(house: House) -> None:
    parameters = describe(house.app, "0")["paths"][f"{PREFIX}/events"]["get"]["parameters"]
    choices = next(each["schema"]["anyOf"][0]["enum"] for each in parameters if each["name"] == "event")

    assert [name for name in (*choices, "missed") if f"`{name}`" not in section(page("api.md"), "Events")] == []


def test_api_page_has_every_status_that_a_route_may_answer_with(house: House) -> None:
    paths = describe(house.app, "0")["paths"]
    statuses = {code for methods in paths.values() for method in methods.values() for code in method["responses"]}

    assert [code for code in statuses if code >= "400" and f"| {code} |" not in page("api.md")] == []


def test_reasons_page_has_exactly_the_reasons_of_the_rules() -> None:
    assert first_cells(page("reasons.md")) == sorted(first_cells(page("reasons.md")), key=lambda name: order()[name])
    assert set(first_cells(page("reasons.md"))) == set(order())


def order() -> dict[str, int]:
    """Return each reason's place among the bits."""
    return {names(reason)[0]: place for place, reason in enumerate(Reason)}


def test_routes_that_documents_name_exist(house: House) -> None:
    described = describe(house.app, "0")["paths"]
    known = [
        re.compile(f"{method.upper()} {re.sub(r'{[a-z]+}', '[^/]+', path)}")
        for path, methods in {**described, "/openapi.json": {"get": {}}}.items()
        for method in methods
    ]
    texts = [path.read_text("utf-8") for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))]
    named = {name for text in texts for name in re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`?\s]*)", text)}

    assert named
    assert [name for name in named if not any(route.fullmatch(name) for route in known)] == []


def test_bounds_of_ingest_are_those_of_the_code() -> None:
    bounds, ingest, writer = section(page("architecture.md"), "Bounds"), IngestConfig(), WriterConfig()

    assert f"| stopping: draining ingest | {ingest.drain_s:g} s;" in bounds
    assert f"| wait between attempts at a store | {writer.backoff_min_s:g} to {writer.backoff_max_s:g} s," in bounds
    assert f"| on disk, not yet decided about | {ingest.pending_bytes >> 20} MiB," in bounds
    assert f"up to {MAX_TAIL_ROWS:,} or {MAX_TAIL_BURSTS:,} bursts" in bounds
    assert f"{TOUCHED_MAX:,}, then the store takes no more rows" in bounds


def test_simulators_page_lists_every_fault() -> None:
    assert first_cells(section(page("simulators.md"), "Faults")) == list(KINDS_OF_FAULT)
