# SPDX-License-Identifier: Apache-2.0
"""Ask every route as every caller, and judge each answer.

A server error, an answer that the description does not have, and a 2xx for nobody are failures. Each generated request is
asked by one caller, in turn; every second that fits the description names something that is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.core.failures import FailureGroup

# What fits the description may still be refused with 422: no schema says which time zones exist, or that low is below high.
from schemathesis.specs.openapi.checks import positive_data_acceptance

from api.access import OPEN_PATHS, SIGN_IN_PATHS
from tests.fuzz.ground import CALLERS, NOBODY, Ground

__all__ = ["Report", "ask_everything"]

ENDLESS = "/api/v1/events"  # a stream has no end to wait for; tests/unit/api/test_events.py reads it
# After these a caller may no longer be signed in.
ENDING = ("DELETE /api/v1/session", "POST /api/v1/session/password", "PATCH /api/v1/people/", "DELETE /api/v1/people/")


@dataclass
class Report:
    """What came of it.

    Attributes
    ----------
    asked : Counter
        Requests by (caller, class of status): ("viewer", 4).
    routes : int
        Operations asked.
    failures : list of str
        What was wrong, with the request that shows it.
    """

    asked: Counter[tuple[str, int]] = field(default_factory=Counter)
    routes: int = 0
    failures: list[str] = field(default_factory=list)


def ask_everything(schema: Any, ground: Ground, *, examples: int, seed_number: int | None = None) -> Report:
    """Ask every operation of a schema `examples` times, by the callers in turn.

    Parameters
    ----------
    schema : schemathesis schema
        Loaded from the application or the running service.
    seed_number : int or None
        Of what is generated; None is the same every time.
    """
    report, turn = Report(), count()
    schema.config.generation.update(with_security_parameters=False)  # who asks is told here, not made up
    chosen = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=seed_number is None,
        phases=(Phase.explicit, Phase.generate),  # what failed is shown as it was; making it smaller would take minutes
        suppress_health_check=list(HealthCheck),
    )
    for result in schema.exclude(path=ENDLESS).get_all_operations():
        ask = chosen(_asking(result.ok(), ground, turn, report))
        (ask if seed_number is None else seed(seed_number)(ask))()
        report.routes += 1
    return report


def _asking(operation: Any, ground: Ground, turn: Iterator[int], report: Report) -> Callable[[], None]:
    """Return the property of one operation."""
    takes = any((operation.path_parameters, operation.query, operation.body))

    @given(case=operation.as_strategy())
    def ask(case: schemathesis.Case) -> None:
        number = next(turn)
        if (number // len(CALLERS) + number) % 2:  # in another round another half of the callers finds what is there
            _name_what_is_there(case, ground.known)
        # What takes nothing is asked but once or twice: by everybody then.
        callers = [list(CALLERS)[number % len(CALLERS)]] if takes else CALLERS
        for caller in callers:
            for wrong in _wrong(case, caller, ground, report):
                report.failures.append(f"{operation.label}, asked by {caller}: {wrong}")

    return ask


def _wrong(case: schemathesis.Case, caller: str, ground: Ground, report: Report) -> list[str]:
    """Ask, and return what is wrong with the answer."""
    headers = ground.headers(caller)
    answer = case.call(headers=headers)
    report.asked[caller, answer.status_code // 100] += 1
    label = f"{case.method.upper()} {case.path}"
    if label.startswith(ENDING):
        ground.forget(caller)
    opens = case.path in OPEN_PATHS or (case.method.upper(), case.path) in SIGN_IN_PATHS
    if caller == NOBODY and not opens and answer.status_code < 400:
        return [f"answered {answer.status_code} without a credential"]
    if caller != NOBODY and not opens and answer.status_code == 401:
        return [f"is signed in, and is told 401: {answer.text}"]
    try:
        case.validate_response(answer, headers=headers, excluded_checks=[positive_data_acceptance])
    except FailureGroup as exc:
        return [str(failure) for failure in exc.exceptions]
    return []


def _name_what_is_there(case: schemathesis.Case, known: Mapping[str, str]) -> None:
    """Put the id of something that is there into the path of a request that fits the description."""
    if case.meta is not None and not case.meta.generation.mode.is_positive:
        return
    noun = case.path.split("/")[3] if case.path.count("/") > 2 else ""
    for name in case.path_parameters or {}:
        case.path_parameters[name] = known.get(noun if name == "record" else name, case.path_parameters[name])
    if isinstance(case.body, dict) and "zone" in case.body and isinstance(case.body["zone"], str):
        case.body["zone"] = known["zone"]
