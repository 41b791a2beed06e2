# SPDX-License-Identifier: Apache-2.0
"""A scenario is read from TOML; a mistake in it is named by its place."""

from __future__ import annotations

from pathlib import Path

import pytest

import simulators
from simulators import InvalidScenario, load_scenario, parse_scenario

GOOD = """
[[sites]]
name = "a"
timezone = "Asia/Jakarta"
[[sites.devices]]
name = "garden"
kind = "irrigation-controller"
[[sites.devices.beds]]
soil_moisture = 0.2
[[sites.devices]]
name = "pond"
kind = "pond-feeder"
encoding = "cbor"
[[sites.devices.ponds]]
volume_m3 = 10
hopper_size_g = 500
hopper_g = 100
"""


def test_load_scenario_demo_has_a_dry_bed_and_a_pond() -> None:
    (site,) = load_scenario("demo").sites
    assert (site.name, site.timezone) == ("pilot", "Asia/Makassar")
    garden, pond = site.devices
    assert (garden.name, garden.kind, garden.zones) == ("garden", "irrigation-controller", 1)
    assert garden.beds[0].soil_moisture == 0.16
    assert (pond.name, pond.kind, pond.zones) == ("pond", "pond-feeder", 1)


def test_parse_scenario_fills_in_what_is_not_said() -> None:
    (site,) = parse_scenario(GOOD).sites
    assert site.devices[0].mqtt is None
    assert site.devices[0].beds[0].bed.flow_l_min == 12.0
    pond = site.devices[1].ponds[0]
    assert (pond.pond.volume_m3, pond.pond.hopper_size_g, pond.hopper_g) == (10.0, 500.0, 100.0)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("soil_moisture = 0.2", "soil_moistur = 0.2", r"sites\[0\].devices\[0\].beds\[0\].soil_moistur: .*soil_moisture\?"),
        ("soil_moisture = 0.2", "soil_moisture = '0.2'", "'0.2' is not a number"),
        ("soil_moisture = 0.2", "soil_moisture = nan", "nan is not within 0 to 1"),
        ("soil_moisture = 0.2", "soil_moisture = 0.46", "above saturation"),
        ("soil_moisture = 0.2", "wilting_point = 0.4", "wilting_point < field_capacity"),
        ("soil_moisture = 0.2", "area_m2 = 0", "above 0"),
        ("volume_m3 = 10", "volume_m3 = -1", "volume_m3: -1 is not within"),
        ("volume_m3 = 10", "volume_m3 = true", "True is not a number"),
        ("pond-feeder", "pond-feeding", "kind: 'pond-feeding' is not one of"),
        ("sites.devices.ponds", "sites.devices.beds", "the zones of a pond-feeder are ponds"),
        ('"pond"', '"garden"', "more than one device 'garden'"),
        ('"pond"', '"The Pond"', "'The Pond' is not 1 to 64"),
        ('"cbor"', '"xml"', "'xml' is not one of json, cbor"),
        ("Asia/Jakarta", "Asia/Nowhere", "no time zone 'Asia/Nowhere'"),
        ('timezone = "Asia/Jakarta"', "", r"sites\[0\].timezone: is missing"),
        ("[[sites]]", "[[site]]", "sites: at least one is wanted"),
        ("[[sites]]", "seed = 'x'\n[[sites]]", "'x' is not a whole number"),
        ("[[sites]]", "[[sites", "scenario: "),
        ("[[sites.devices]]", "[sites.climate]\nlatitude = 91\n[[sites.devices]]", "latitude is -90 to 90"),
    ],
)
def test_parse_scenario_with_a_mistake_names_its_place(old: str, new: str, complaint: str) -> None:
    assert old in GOOD
    with pytest.raises(InvalidScenario, match=complaint):
        parse_scenario(GOOD.replace(old, new, 1))


def test_load_scenario_of_an_unknown_name_lists_the_built_in_ones() -> None:
    with pytest.raises(InvalidScenario, match="demo"):
        load_scenario("demonstration")


def test_load_scenario_of_a_file_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    assert len(load_scenario(path).sites[0].devices) == 2
    with pytest.raises(InvalidScenario, match=r"missing\.toml"):
        load_scenario(tmp_path / "missing.toml")


def test_simulators_names_what_it_exports_in_order() -> None:
    assert simulators.__all__ == sorted(simulators.__all__)
    assert all(hasattr(simulators, name) for name in simulators.__all__)
