# SPDX-License-Identifier: Apache-2.0
"""Forecasts from files on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import Result

from control import forecasts, registry
from control.database import open_database
from control.errors import NotFound
from control.forecasts import Forecast
from tirta.errors import NotPossible
from tirta.forecast_files import COLUMNS, Defaults, read_forecasts

Run = Callable[..., Result]
NOW = datetime.now(UTC)
DAY = (NOW + timedelta(days=2)).date().isoformat()
ISSUED = (NOW - timedelta(hours=1)).strftime("%Y-%m-%dT%H:00Z")


@pytest.fixture
def run_there(run: Run, url: str) -> Run:
    """Run a command where there are two sites."""
    database = open_database(url)
    with database.session() as session:
        registry.create_site(session, "taman", "Taman", "Asia/Makassar", now_ms=0)
        registry.create_site(session, "kolam", "Kolam", "Asia/Jakarta", now_ms=0)
    database.close()
    return run


def kept(url: str) -> list[Forecast]:
    database = open_database(url)
    with database.reader() as session:
        found, _ = forecasts.list_forecasts(session)
    database.close()
    return sorted(found, key=lambda one: one.site)


def file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "forecast"
    path.write_text(text, "utf-8")
    return str(path)


def test_import_of_a_table_keeps_an_issue_for_each_site_in_its_own_time(run_there: Run, url: str, tmp_path: Path) -> None:
    head, at = "site;issued;start;hours;rain_mm;rain_probability", f"{ISSUED};{DAY}T06:00"
    table = f"{head}\ntaman;{at};3;4.5;0.7\nkolam;{at};;1;\n"
    answer = run_there("forecast", "import", file(tmp_path, table), "--source", "BMKG", "--why", "cuaca")

    assert answer.exit_code == 0, answer.output
    assert "kept  kolam " in answer.output
    kolam, taman = kept(url)
    assert (taman.source, taman.received_by) == ("BMKG", "command-line")
    assert kolam.entries[0].start_ms - taman.entries[0].start_ms == 3_600_000
    assert (taman.entries[0].end_ms - taman.entries[0].start_ms, taman.entries[0].rain_probability) == (3 * 3_600_000, 0.7)
    again = run_there("forecast", "import", file(tmp_path, table), "--source", "BMKG")
    assert "replaced  taman" in again.output
    assert len(kept(url)) == 2


def test_import_of_json_takes_what_the_api_takes_or_a_list_of_it(run_there: Run, url: str, tmp_path: Path) -> None:
    issue = {"site": "taman", "source": "BMKG", "issued": ISSUED, "entries": [{"day": DAY, "rain_mm": 3}]}
    answer = run_there("forecast", "import", file(tmp_path, json.dumps([issue, {**issue, "site": "kolam"}])))

    assert answer.exit_code == 0, answer.output
    assert [one.site for one in kept(url)] == ["kolam", "taman"]
    listed = run_there("forecast", "list", "--site", "taman").output
    assert listed.rstrip().endswith("counts")
    assert run_there("forecast", "remove", listed.split()[0]).exit_code == 0
    assert [one.site for one in kept(url)] == ["kolam"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: name start or day"),
        ("day,rain\n", "line 1: there is no column 'rain'; columns are site, source"),
        ("day,rain_mm,day\n", "line 1: the column day comes twice"),
        ("day,rain_mm\n", "there is no forecast in it"),
        (f"day,rain_mm\n{DAY},1\n\n{DAY},x\n", "line 4: rain_mm: 'x' is no number"),
        (f"day;rain_mm\n{DAY};1,5\n", "line 2: rain_mm: '1,5' is no number; write decimals with a point"),
        (f"day,rain_mm\n{DAY},1,2\n", "line 2: 3 values, but 2 columns"),
        ("day,rain_mm\n23/11/2026,1\n", "line 2: day: '23/11/2026' is no day; write it as 2026-11-23"),
        ("start,rain_mm\nsoon,1\n", "line 2: start: 'soon' is no time"),
        (f"start,day,rain_mm\n,{DAY},1\n,,1\n", "line 3: say start (with hours) or day, one of them"),
        (f"start,hours,rain_mm\n{DAY}T00:00,25,1\n", "line 2: hours: a whole number from 1 to 24"),
        (f"day,rain_mm\n{DAY},1\n{DAY},2\n", "line 3: it lies over line 2; give each hour or day once"),
        (f"day,rain_mm\n{DAY},-1\n", "line 2: rain_mm: a number from 0 to 1000"),
        (f"day,rain_mm\n{DAY},nan\n", "line 2: rain_mm: a number from 0 to 1000"),
        ("day,rain_mm\n2020-01-01,1\n", "line 2: it lies from 2 days before the issue"),
        ('{"entries": [}', "line 1, character 14: this is no JSON"),
        ('{"source": "BMKG"}', "entries: a list of hours or days"),
        ('[{"entries": [], "sites": 1}]', "[0].sites: there is no such field"),
        (f'{{"entries": [{{"day": "{DAY}", "rain": 1}}]}}', "entries[0]: an object with some of start, day"),
        (f'{{"entries": [{{"day": "{DAY}", "rain_mm": true}}]}}', "entries[0]: rain_mm: a number"),
    ],
)
def test_import_of_what_is_wrong_names_the_line_and_keeps_nothing(
    run_there: Run, url: str, tmp_path: Path, text: str, told: str
) -> None:
    answer = run_there("forecast", "import", file(tmp_path, text), "--site", "taman")

    assert isinstance(answer.exception, NotPossible)
    assert str(answer.exception).startswith(told)
    assert kept(url) == []


def test_import_without_a_site_or_of_no_site_or_file_says_so(run_there: Run, tmp_path: Path) -> None:
    path = file(tmp_path, f"day,rain_mm\n{DAY},1\n")

    assert "say --site" in str(run_there("forecast", "import", path).exception)
    assert isinstance(run_there("forecast", "import", path, "--site", "nowhere").exception, NotFound)
    assert "cannot read" in str(run_there("forecast", "import", str(tmp_path / "none"), "--site", "taman").exception)
    (tmp_path / "latin").write_bytes(b"day,rain_mm\n\xe9,1\n")
    assert "line 2: this is no UTF-8" in str(run_there("forecast", "import", str(tmp_path / "latin")).exception)


def test_list_without_any_says_what_is_taken_instead(run_there: Run) -> None:
    assert "nothing changes" in run_there("forecast", "list").output


def test_read_forecasts_bounds_what_it_reads() -> None:
    table = "day,rain_mm\n" + "2026-11-23,1\n" * 20_001

    with pytest.raises(NotPossible, match="line 20002: more than 20000 entries"):
        read_forecasts(table, Defaults("taman", "file", 0), lambda _: UTC)  # type: ignore[arg-type, return-value]


def test_the_page_about_forecasts_names_every_column() -> None:
    page = (Path(__file__).parents[3] / "docs/forecasts.md").read_text("utf-8")

    assert [name for name in COLUMNS if f"`{name}`" not in page] == []
