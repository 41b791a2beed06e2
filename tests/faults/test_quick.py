# SPDX-License-Identifier: Apache-2.0
"""The shortened run of every fault test; `make faults` runs them at full length."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.faults import ALL
from tests.faults.case import Conditions, FaultTest

SEED: Final = 20261122


@pytest.mark.slow
# The codec panics on a topic that is no text, on purpose in 14; what it raised on the way is then nobody's to catch.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("test", ALL, ids=lambda test: f"{test.number}-{test.title.replace(' ', '-')}")
def test_run_of_a_fault_in_its_shortened_form_meets_every_criterion(test: FaultTest, tmp_path: Path) -> None:
    findings = test.run(Conditions(tmp_path, SEED, quick=True))
    assert not findings.failed, findings.numbers
