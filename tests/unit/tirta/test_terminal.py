# SPDX-License-Identifier: Apache-2.0
"""Text that a terminal shows and does not obey."""

from __future__ import annotations

import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tirta.terminal import SafeOutput, one_line, safe, safe_output


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Kebun é 池 🌱\tand\nso on", "Kebun é 池 🌱\tand\nso on"),
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("done\rfailed", r"done\rfailed"),
        ("a\x00b\x7f", r"a\x00b\x7f"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\u2066x\u2069\u200f", r"\u2066x\u2069\u200f"),
        ("two\u2028lines", r"two\u2028lines"),
        ("\ud800", r"\ud800"),
    ],
)
def test_safe_writes_out_what_a_terminal_obeys(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_one_line_writes_out_ends_of_lines_too() -> None:
    assert one_line("unknown\n     7  forged\t\x1b[1m") == r"unknown\n     7  forged\t\x1b[1m"


@given(st.text(st.characters(codec=None)))
def test_safe_of_any_text_holds_no_control_and_stays_as_it_is_when_done_again(text: str) -> None:
    shown = safe(text)
    assert all(sign in "\t\n" or (sign.isprintable() or ord(sign) > 0x9F) for sign in shown)
    assert safe(shown) == shown
    shown.encode()
    assert "\n" not in one_line(text)


def test_safe_output_covers_what_is_printed_and_gives_the_streams_back(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with safe_output():
        print("\x1b[2J", end="", flush=True)
        print("\x1b[2J", end="", file=sys.stderr)
        assert isinstance(sys.stdout, SafeOutput)
        assert sys.stdout.encoding
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == (r"\x1b[2J", r"\x1b[2J")


def test_write_tells_how_much_was_taken_not_how_much_is_shown() -> None:
    out = io.StringIO()
    assert SafeOutput(out).write("a\x1b") == 2
    assert out.getvalue() == r"a\x1b"
    assert not SafeOutput(out).isatty()
