# SPDX-License-Identifier: Apache-2.0
"""How each language writes numbers, spans of time and instants.

In the words of reasons and alarms a number stands in braces with how it is to be written: `{low:.1%}` at most one decimal and
the sign, `{litres:.0f}`, `{age_s:span}` seconds as a span of time. Invariant: a number that was not kept, or was none, never
breaks a sentence: it is written as a question mark.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Literal

__all__ = ["Language", "Words", "fill", "number", "span", "which"]

Language = Literal["id", "en"]
Words = tuple[str, str]  # in Indonesian and in English

MINUTE_S: Final = 60
HOUR_S: Final = 3_600
DAY_S: Final = 86_400
_SPANS: Final[tuple[tuple[int, int, Words], ...]] = (
    (2 * DAY_S, DAY_S, ("hari", "days")),
    (2 * HOUR_S, HOUR_S, ("jam", "h")),
    (2 * MINUTE_S, MINUTE_S, ("menit", "min")),
)


def which(language: Language) -> int:
    """Return the place of a language in `Words`."""
    return 0 if language == "id" else 1


def fill(words: str, values: Mapping[str, float | bool | str | None], language: Language) -> str:
    """Return a sentence with its numbers in it."""
    told = {name: value if isinstance(value, str) else _Told(value, language) for name, value in values.items()}
    return words.format_map(_Known(told, language))


def number(value: float, decimals: int, language: Language) -> str:
    """Write a number with at most so many decimals."""
    text = f"{value:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    text = "0" if text == "-0" else text
    return text.replace(".", ",") if language == "id" else text


def span(seconds: float, language: Language) -> str:
    """Write a span of time in the largest unit of which it has two."""
    for least, unit, words in _SPANS:
        if abs(seconds) >= least:
            return f"{number(seconds / unit, 0, language)} {words[which(language)]}"
    return f"{number(seconds, 0, language)} {('detik', 's')[which(language)]}"


class _Told:
    """A number that knows how to be written."""

    def __init__(self, value: float | bool | None, language: Language) -> None:
        self._value = value
        self._language = language

    def __format__(self, spec: str) -> str:
        value = self._value
        if value is None or not math.isfinite(value):
            return "?"
        if spec == "span":
            return span(value, self._language)
        decimals = int(spec[1:-1]) if spec[:1] == "." and spec[1:-1].isdigit() else 0
        if spec.endswith("%"):
            return number(value * 100, decimals, self._language) + (" %" if self._language == "id" else "%")
        return number(value, decimals, self._language)


class _Known(dict[str, _Told | str]):
    """Numbers and words by name, and a gap for what is not there."""

    def __init__(self, values: Mapping[str, _Told | str], language: Language) -> None:
        super().__init__(values)
        self._language = language

    def __missing__(self, key: str) -> _Told:
        return _Told(None, self._language)
