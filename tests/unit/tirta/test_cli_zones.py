# SPDX-License-Identifier: Apache-2.0
"""`tirta release` on the control database of a Tirta that does not run."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from control import registry
from control.audit import list_entries
from control.database import open_database
from control.errors import NotFound
from control.proof_models import ZoneProofRow
from control.proofs import zone_proofs
from tirta.cli import app
from tirta.errors import NotPossible

NOW = 1_795_305_600_000
BED = "pilot:garden:1"


def test_release_of_a_stopped_tirta_lets_the_zone_go_and_names_who_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.umask", lambda mask: mask)  # the process's own is not the command's to change here
    (tmp_path / "data").mkdir()
    database = open_database(f"sqlite:///{tmp_path}/data/control.db")
    with database.session() as session:
        registry.create_site(session, "pilot", "Pilot", "Asia/Makassar", now_ms=NOW)
        zone = registry.ZoneSpec(1, "Bed", "bed")
        registry.create_device(session, "pilot", "garden", "irrigation-controller", "G", [zone], "$7$", now_ms=NOW)
        session.add(ZoneProofRow(zone_key=BED, disproved=2, finding="clogged", held_ms=NOW))

    def call(zone: str) -> object:
        return CliRunner().invoke(app, ["release", zone, "--why", "cleaned", "--data", str(tmp_path / "data")]).exception

    assert call(BED) is None
    assert isinstance(call("pilot:garden"), NotPossible)
    assert isinstance(call("pilot:garden:9"), NotFound)
    with database.reader() as session:
        assert zone_proofs(session) == {}
        (entry,) = [each for each in list_entries(session)[0] if each.action == "zone.release"]
        assert entry.why.endswith("cleaned")
    database.close()
