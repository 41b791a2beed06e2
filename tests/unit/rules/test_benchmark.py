# SPDX-License-Identifier: Apache-2.0
"""The benchmark prints what it promises; how fast is for a quiet machine to say."""

from __future__ import annotations

import json

import pytest

from benchmarks.rules import main


def test_main_with_json_prints_one_line_of_figures(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--zones", "500", "--rounds", "1", "--json"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    figures = json.loads(lines[0])
    assert figures["zones"] == 500
    assert 0 < figures["acting"] < 500
    assert figures["tick_ms"] > 0.0
    assert figures["tick_10k_ms"] > 0.0


def test_main_without_zones_to_measure_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--zones", "0"])
    assert "1 or more" in capsys.readouterr().err
