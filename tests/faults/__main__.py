# SPDX-License-Identifier: Apache-2.0
"""Run the fault tests: `python -m tests.faults [--test N] [--quick] [--long] [--resume] [--seed S]`.

Prints a line as each ends, then a table, then a line of JSON a test, with the commit it was made on. What has ended is kept
in the cache folder, so that `--resume` goes on where a run of the very same files was cut off. Ends with 0 only when no
criterion failed.
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

import pytest

from tests.faults import ALL, wrong_day
from tests.faults.case import Conditions, FaultTest
from tests.faults.kept import KeptResults


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Fault tests; see docs/reliability.md.")
    parser.add_argument("--test", type=_number, action="append", help="only this number, or `day` (more than once for several)")
    parser.add_argument("--quick", action="store_true", help="a shortened run of each")
    parser.add_argument("--long", action="store_true", help="the run of half an hour where a test has one")
    parser.add_argument("--resume", action="store_true", help="go on where the last run was cut off")
    parser.add_argument("--seed", type=int, help="of everything left to chance; printed with each result")
    told = parser.parse_args()
    length = "quick" if told.quick else "long" if told.long else "full"
    kept = KeptResults(length)
    results = []
    for test in ALL:
        if told.test and test.number not in told.test:
            continue
        result = kept.passed(test.number) if told.resume else None
        if result is None:
            seed = random.SystemRandom().randrange(2**32) if told.seed is None else told.seed
            print(f"{test.number:>3}  {test.title} (seed {seed}) …", flush=True)
            result = {**run_one(test, seed, quick=told.quick, long=told.long), "tree": kept.tree}
            kept.keep(test.number, result)
        print(f"     {_verdict(result)} in {result['seconds']:.0f} s", flush=True)
        results.append((test, result))
    _show(results)
    if kept.has([test.number for test in ALL]):
        kept.forget()  # the next such run begins anew
    return 0 if all(result["pass"] is not False for _, result in results) else 1


def run_one(test: FaultTest, seed: int, *, quick: bool = False, long: bool = False) -> dict[str, Any]:
    """Run one test in a folder of its own and return its line; `pass` is None where the machine cannot do it."""
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"fault-{test.number}-") as folder:
        try:
            findings = test.run(Conditions(Path(folder), seed, quick, long))
        except pytest.skip.Exception as exc:
            found: dict[str, Any] = {"skipped": str(exc), "pass": None}
        except (Exception, pytest.fail.Exception) as exc:  # noqa: BLE001 - the tests behind it are run all the same
            found = {"error": f"{type(exc).__name__}: {exc}"[-1500:], "pass": False}
        else:
            found = {**findings.numbers, **({"failed": findings.failed} if findings.failed else {})}
            found["pass"] = not findings.failed
    return {"test": test.number, "seed": seed, **found, "seconds": round(time.monotonic() - begun_s, 1)}


def _number(text: str) -> int:
    return wrong_day.TEST.number if text == "day" else int(text)


def _verdict(result: dict[str, Any]) -> str:
    return {True: "passed", False: "FAILED", None: "skipped"}[result["pass"]]


def _show(results: list[tuple[FaultTest, dict[str, Any]]]) -> None:
    print(f"\n{'':>3}  {'fault':<48} {'':<8} {'lost':>6} {'dup':>6} {'s':>7}")
    for test, result in results:
        lost, dup = (str(result.get(name, "-")) for name in ("lost", "dup"))
        print(f"{test.number:>3}  {test.title:<48} {_verdict(result):<8} {lost:>6} {dup:>6} {result['seconds']:>7.0f}")
    print()
    for _, result in results:
        print(json.dumps(result))


if __name__ == "__main__":
    sys.exit(main())
