# SPDX-License-Identifier: Apache-2.0
"""Ask the whole API as everybody: `python -m tests.fuzz [--examples N] [--seed S]`.

First the application in this process, `--examples` requests a route; then a running service over HTTP, with a tenth of
them, for what lies between: the server, the header fields, the broker that credentials are given to. Ends with 0 only when
nothing was wrong; the seed that is printed makes the same requests again.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
import schemathesis

from tests.fuzz import Report, ask_everything, furnish, furnished
from tests.servers.tirta import Tirta
from tests.unit.api.house import open_house

MINUTE_S = 61.0  # in which somebody may sign in sixty times


def main() -> int:
    """Run both, print what came of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Ask the whole API as each role and as nobody.")
    parser.add_argument("--examples", type=int, default=200, help="requests a route")
    parser.add_argument("--seed", type=int, help="of what is generated")
    told = parser.parse_args()
    seed = random.SystemRandom().randrange(2**32) if told.seed is None else told.seed
    wrong = 0
    for name, run, examples in (
        ("in process", in_process, told.examples),
        ("over HTTP", over_http, max(told.examples // 10, 1)),
    ):
        print(f"{name}: {examples} requests a route, EXAMPLES={told.examples} SEED={seed}", flush=True)
        begin_s = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="tirta-fuzz-") as folder:
            report = run(Path(folder), examples, seed)
        wrong += len(report.failures)
        show(report, time.monotonic() - begin_s)
    return 1 if wrong else 0


def in_process(folder: Path, examples: int, seed: int) -> Report:
    """Ask the application itself."""
    with open_house(folder) as house:
        ground = furnished(house)
        schema = schemathesis.openapi.from_asgi("/openapi.json", house.app, headers=ground.headers("viewer"))
        return ask_everything(schema, ground, examples=examples, seed_number=seed)


def over_http(folder: Path, examples: int, seed: int) -> Report:
    """Ask a running service."""
    with Tirta(folder) as tirta, httpx2.Client(base_url=tirta.ready["http"], trust_env=False, timeout=30) as client:

        def ask(method: str, path: str, **options: Any) -> httpx2.Response:
            answer = client.request(method, path, **options)
            if answer.status_code == 429:
                time.sleep(MINUTE_S)
                answer = client.request(method, path, **options)
            return answer

        ground = furnish(ask, tirta.ready["token"])
        url = f"{tirta.ready['http']}/openapi.json"
        schema = schemathesis.openapi.from_url(url, headers=ground.headers("viewer"))
        report = ask_everything(schema, ground, examples=examples, seed_number=seed)
        if '"action": "request_failed"' in tirta.err or "Traceback" in tirta.err:
            report.failures.append(f"the service's log: {tirta.err[-4000:]}")
        return report


def show(report: Report, took_s: float) -> None:
    """Print a line for people, one of JSON, and each failure."""
    for failure in report.failures:
        print(f"\n{failure}")
    by_class: dict[str, dict[str, int]] = {}
    for (caller, status), number in sorted(report.asked.items()):
        by_class.setdefault(caller, {})[f"{status}xx"] = number
    print(f"{report.asked.total()} requests to {report.routes} routes in {took_s:.0f} s: {len(report.failures)} wrong")
    print(json.dumps({"routes": report.routes, "asked": by_class, "wrong": len(report.failures)}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
