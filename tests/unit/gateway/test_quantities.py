# SPDX-License-Identifier: Apache-2.0
"""The catalogue: the built-in files against the contract's page, and a partner's own file."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import InvalidCatalogue
from gateway.quantities import ACTIONS, RESERVED_NAMES, Kind, load_catalogue
from ingest.store.batch import RESERVED_NAMES as RESERVED_BY_STORES

CATALOGUE = load_catalogue()
OWN = """
[quantities.leaf_wetness]
type = "number"
unit = "%"
min = 0
max = 100
en = "leaf wetness"

[kinds.leaf-probe]
quantities = ["leaf_wetness", "battery"]
actions = []
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "own.toml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("kind", CATALOGUE.kinds.values(), ids=list(CATALOGUE.kinds))
def test_load_catalogue_agrees_with_the_contract_s_page(kind: Kind) -> None:
    page = (Path(__file__).parents[3] / "docs" / "mqtt-contract.md").read_text("utf-8")
    entry = CATALOGUE.kinds[kind.name]
    row = next(line for line in page.splitlines() if line.startswith(f"| `{entry.name}` |"))
    told = [part.strip() for part in row.split("|")]
    assert [part.split(" (")[0] for part in told[2].split(", ")] == [q.name for q in entry.quantities]
    assert told[3] == (", ".join(entry.actions) or "none")


def test_load_catalogue_uses_no_name_of_the_stores_or_of_the_record_s_head() -> None:
    assert RESERVED_NAMES & set(CATALOGUE.quantities) == set()
    assert RESERVED_NAMES >= RESERVED_BY_STORES


def test_load_catalogue_gives_every_quantity_a_range_and_both_languages() -> None:
    for quantity in CATALOGUE.quantities.values():
        assert quantity.low < quantity.high
        assert set(quantity.names) == {"en", "id"}
        assert not quantity.boolean or (quantity.low, quantity.high) == (0.0, 1.0)


def test_kind_quantity_of_another_kind_is_none() -> None:
    meter = CATALOGUE.kinds["water-meter"]
    assert meter.quantity("pressure") is CATALOGUE.quantities["pressure"]
    assert meter.quantity("ph") is None
    assert set(meter.actions) <= set(ACTIONS)


def test_suggest_of_a_slip_gives_the_nearest_and_of_noise_nothing() -> None:
    assert CATALOGUE.suggest("soil_moistur") == "soil_moisture"
    assert CATALOGUE.suggest("soil_moistur", CATALOGUE.kinds["pond-feeder"]) is None
    assert CATALOGUE.suggest("x" * 60_000) is None


def test_load_catalogue_with_a_partner_s_file_adds_to_the_built_in(tmp_path: Path) -> None:
    catalogue = load_catalogue(write(tmp_path, OWN))
    assert [q.name for q in catalogue.kinds["leaf-probe"].quantities] == ["leaf_wetness", "battery"]
    assert set(CATALOGUE.kinds) < set(catalogue.kinds)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[", "own.toml"),
        ('[quantities.flow]\ntype = "number"\nunit = "m3/s"\nmin = 0\nmax = 1', "quantities.flow"),
        ("[kinds.water-meter]\nquantities = []", "kinds.water-meter"),
        ('[quantities.x]\nunit = "m"\nmin = 0\nmax = 1', "type"),
        ('[quantities.x]\ntype = "text"\nunit = "m"\nmin = 0\nmax = 1', "text"),
        ('[quantities.x]\ntype = "number"\nunit = "m"\nmin = 2\nmax = 1', "min"),
        ('[quantities.X]\ntype = "number"\nunit = "m"\nmin = 0\nmax = 1', "lower-case"),
        ('[kinds.k]\nquantities = ["nothing"]', "nothing"),
        ('[kinds.k]\nquantities = ["flow", "flow"]', "once"),
        ('[kinds.k]\nquantities = ["flow"]\nactions = ["explode"]', "explode"),
        ('[kinds.k]\nquantities = ["flow"]\nsilent_s = 1', "silent_s"),
        ('[kinds.k]\nquantities = ["flow"]\nsilent_s = nan', "silent_s"),
        ('[kinds.k]\nquantities = ["flow"]\nsilent_s = true', "silent_s"),
    ],
)
def test_load_catalogue_with_a_faulty_file_says_what_is_wrong(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(InvalidCatalogue, match=named):
        load_catalogue(write(tmp_path, text))


def test_load_catalogue_takes_how_long_a_kind_may_be_silent(tmp_path: Path) -> None:
    kinds = load_catalogue(write(tmp_path, '[kinds.k]\nquantities = ["flow"]\nsilent_s = 7200')).kinds
    assert (kinds["k"].silent_s, kinds["irrigation-controller"].silent_s, kinds["pond-feeder"].silent_s) == (7200, 900, 600)


def test_load_catalogue_without_the_named_file_says_which(tmp_path: Path) -> None:
    with pytest.raises(InvalidCatalogue, match=r"none\.toml"):
        load_catalogue(tmp_path / "none.toml")


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_load_catalogue_with_a_name_that_records_or_stores_use_is_refused(tmp_path: Path, name: str) -> None:
    text = f'[quantities.{name}]\ntype = "number"\nunit = "m"\nmin = 0\nmax = 1'
    with pytest.raises(InvalidCatalogue, match=name):
        load_catalogue(write(tmp_path, text))


@pytest.mark.parametrize("name", ["class", "def"])
def test_load_catalogue_with_a_name_that_is_a_word_of_python_is_refused(tmp_path: Path, name: str) -> None:
    text = f'[quantities.{name}]\ntype = "number"\nunit = "m"\nmin = 0\nmax = 1\n[kinds.k]\nquantities = ["{name}"]'
    with pytest.raises(InvalidCatalogue, match=name):
        load_catalogue(write(tmp_path, text))


@pytest.mark.parametrize(("low", "high"), [("nan", "1"), ("0", "nan"), ("-inf", "1"), ("0", "inf")])
def test_load_catalogue_with_a_range_that_is_not_finite_is_refused(tmp_path: Path, low: str, high: str) -> None:
    with pytest.raises(InvalidCatalogue, match="min"):
        load_catalogue(write(tmp_path, f'[quantities.x]\ntype = "number"\nunit = "m"\nmin = {low}\nmax = {high}'))
