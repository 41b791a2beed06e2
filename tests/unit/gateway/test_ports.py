# SPDX-License-Identifier: Apache-2.0
"""A port that is kept from start to start."""

from __future__ import annotations

from pathlib import Path

from gateway.ports import choose_port


def test_choose_port_with_one_configured_takes_it_and_remembers_nothing(tmp_path: Path) -> None:
    assert choose_port(tmp_path / "port", "127.0.0.1", 18830, keep=False) == 18830
    assert not (tmp_path / "port").exists()


def test_choose_port_of_a_running_process_is_the_one_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("18831\n")

    assert choose_port(tmp_path / "port", "127.0.0.1", 0, keep=True) == 18831
