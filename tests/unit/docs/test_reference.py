# SPDX-License-Identifier: Apache-2.0
"""The pages made from the code are those that the code makes now."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway import load_catalogue
from tirta.reference import pages, write_pages
from tirta.settings import BrokerSettings, InfluxSettings, OidcSettings, RetentionSettings, Settings, TlsSettings

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", sorted(pages()))
def test_pages_as_kept_are_what_the_code_makes(name: str) -> None:
    assert (DOCS / name).read_text("utf-8") == pages()[name], "run: python -m tirta.reference"


def test_write_pages_into_a_folder_writes_each_of_them(tmp_path: Path) -> None:
    write_pages(tmp_path)

    assert {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()} == pages()


def test_pages_about_settings_have_every_setting_with_a_meaning() -> None:
    rows = [line for line in pages()["settings.md"].splitlines() if line.startswith("| `TIRTA_")]
    groups = {
        "broker": BrokerSettings,
        "influx": InfluxSettings,
        "oidc": OidcSettings,
        "retention": RetentionSettings,
        "tls": TlsSettings,
    }
    fields = len(Settings.model_fields) - len(groups) + sum(len(group.model_fields) for group in groups.values())

    assert len(rows) == fields
    assert [row for row in rows if row.endswith("|  |")] == []


def test_pages_about_quantities_have_every_quantity_and_kind() -> None:
    catalogue, text = load_catalogue(), pages()["quantities.md"]

    assert [name for name in (*catalogue.quantities, *catalogue.kinds) if f"| `{name}` |" not in text] == []


def test_pages_about_commands_say_what_every_option_means() -> None:
    rows = [line for line in pages()["cli.md"].splitlines() if line.startswith("| `")]

    assert len(rows) > 30
    assert [row for row in rows if row.endswith("|  |")] == []


def test_pages_about_commands_have_a_group_that_is_a_command_of_its_own() -> None:
    assert "\n## `tirta alarms`\n" in pages()["cli.md"]
    assert "\n## `tirta device`\n" not in pages()["cli.md"]
