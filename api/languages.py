# SPDX-License-Identifier: Apache-2.0
"""In which language errors are told: the person's own, or else as `Accept-Language` asks, or else English.

Invariant: only the words change: status, fields and codes are the same in every language. The words are in indonesian.toml.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, Literal

from control.sentences import conflict_templates

__all__ = ["Language", "Words", "asked_language", "indonesian", "told_in", "translate"]

Language = Literal["id", "en"]

_RANGE: Final = re.compile(r"\s*([A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?))?\s*")
_RANGES_MAX: Final = 20  # of an Accept-Language that are looked at


@dataclass(frozen=True, slots=True)
class Words:
    """What errors say in Bahasa Indonesia.

    Attributes
    ----------
    titles : mapping
        By status, as text.
    sentences : mapping
        By what they say in English; `{}` stands for what differs each time.
    otherwise : str
        Around words that are not known.
    """

    titles: Mapping[str, str]
    sentences: Mapping[str, str]
    otherwise: str


@lru_cache(maxsize=1)
def indonesian() -> Words:
    """Return the words, read once."""
    read = tomllib.loads(files("api").joinpath("indonesian.toml").read_text("utf-8"))
    sentences = {english: words for part in read["sentences"].values() for english, words in part.items()}
    sentences |= conflict_templates()
    return Words(read["titles"], sentences, read["otherwise"])


def asked_language(header: str) -> Language:
    """Return the language that an `Accept-Language` prefers; `in` is an old code of Indonesian (RFC 5646 registry)."""
    best: tuple[float, Language] = (0.0, "en")
    for text in header.split(",")[:_RANGES_MAX]:
        match = _RANGE.fullmatch(text)
        if match is None:
            continue
        weight = 1.0 if match[2] is None else float(match[2])
        language: Language | None = {"id": "id", "in": "id", "en": "en", "*": "en"}.get(match[1].lower())  # type: ignore[assignment]
        if language is not None and weight > best[0]:
            best = (weight, language)
    return best[1]


def told_in(language: Language, problem: dict[str, Any]) -> dict[str, Any]:
    """Return a problem in a language."""
    if language == "en":
        return problem
    told = {**problem, "title": indonesian().titles.get(str(problem["status"]), problem["title"])}
    errors = [{"field": each["field"], "detail": translate(each["detail"])} for each in problem.get("errors", ())]
    if errors:
        told["errors"] = errors
    by_field = "; ".join(f"{each['field']}: {each['detail']}" for each in problem.get("errors", ())[:3])
    if errors and problem["detail"].startswith(by_field[:100]):
        told["detail"] = "; ".join(f"{each['field']}: {each['detail']}" for each in errors[:3])
    else:
        told["detail"] = translate(problem["detail"])
    return told


def translate(text: str) -> str:
    """Return a sentence of an error in Bahasa Indonesia; one that is not known is told as it is, with a word before it."""
    return _known(text) or indonesian().otherwise.replace("{}", text)


def _known(text: str) -> str | None:
    sentences = indonesian().sentences
    if text in sentences:
        return sentences[text]
    for pattern, words in _patterns():
        match = pattern.fullmatch(text)
        if match is not None:
            parts = words.split("{}")
            return parts[0] + "".join(_part(value) + part for value, part in zip(match.groups(), parts[1:], strict=True))
    return None


def _part(text: str) -> str:
    """Return what stood for `{}`: a phrase of ours in the language too, anything else as it is."""
    return (_known(text) or text) if " " in text or text in indonesian().sentences else text


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return the sentences with something in them, those with most words of their own first."""
    found: Mapping[str, str] = {english: words for english, words in indonesian().sentences.items() if "{}" in english}
    ordered = sorted(found, key=lambda english: -len(english.replace("{}", "")))
    return tuple((re.compile("(.*?)".join(map(re.escape, each.split("{}"))), re.DOTALL), found[each]) for each in ordered)
