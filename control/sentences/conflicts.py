# SPDX-License-Identifier: Apache-2.0
"""What conflicts in a schedule that is to be saved.

Invariant: the numbers of a sentence stand in the same order in both languages, so that one told in English can be translated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from control.conflicts import Conflicting
from control.sentences.numbers import Language, Words, fill, which

__all__ = ["CONFLICTS", "conflict_sentence", "conflict_templates"]

CONFLICTS: Final[dict[str, Words]] = {
    "other-schedule": (
        "zona ini sudah mempunyai jadwal aktif {schedule}; ubah atau matikan yang itu",
        "the zone has the enabled schedule {schedule}; change or disable that one",
    ),
    "zone-incomplete": (
        "{name} zona belum diketahui; jadwal tidak berjalan sampai diisi",
        "{name} of the zone is not known; the schedule does nothing until it is set",
    ),
    "run-too-short": (
        "yang lebih pendek dari {seconds:.0f} detik tidak dimulai, padahal zona berjalan paling lama {limit:.0f} detik",
        "nothing shorter than {seconds:.0f} s is begun, and the zone runs for at most {limit:.0f} s",
    ),
    "no-position": (
        "matahari terbit dan terbenam memerlukan posisi lokasi; isi dahulu",
        "sunrise and sunset need the position of the site; set it first",
    ),
    "never-comes": (
        "mulai pukul {time} tidak jatuh pada satu hari pun dalam setahun ke depan",
        "the start at {time} falls on no day of the year ahead",
    ),
    "run-too-long": (
        "mulai pukul {time} memerlukan {seconds:.0f} detik; paling lama {limit:.0f} detik",
        "the start at {time} takes {seconds:.0f} s; the longest run is {limit:.0f} s",
    ),
    "same-moment": (
        "{time} jatuh pada saat yang sama dengan {other}; salah satunya tidak akan berjalan",
        "{time} falls on the same moment as {other}; one of them would not run",
    ),
    "meals-too-close": (
        "jam pakan {time} hanya {gap_s:span} setelah yang sebelumnya, jeda paling sedikit {min_gap_s:span}; akan terlewat",
        "the meal at {time} is only {gap_s:span} after the one before, the least gap is {min_gap_s:span}; it would be missed",
    ),
    "meal-waits": (
        "jam pakan {time} hanya {gap_s:span} setelah yang sebelumnya, jeda paling sedikit {min_gap_s:span}; akan terlambat",
        "the meal at {time} is only {gap_s:span} after the one before, the least gap is {min_gap_s:span}; it will be late",
    ),
    "outside-hours": (
        "{time} di luar jam yang diizinkan; akan terlewat",
        "{time} is outside the allowed hours; it would be missed",
    ),
    "waits-for-hours": (
        "{time} di luar jam yang diizinkan; menunggu jam berikutnya",
        "{time} is outside the allowed hours; it waits for the next ones",
    ),
    "ration-exceeded": (
        "porsi pada {day} berjumlah {share:.0%} dari ransum; paling banyak 100 %",
        "the shares on {day} add up to {share:.0%} of the ration; at most 100%",
    ),
    "grams-day-exceeded": (
        "{planned:.0f} g direncanakan pada {day}, batas sehari {limit:.0f} g",
        "{planned:.0f} g are planned on {day}, the day's limit is {limit:.0f} g",
    ),
    "litres-day-exceeded": (
        "{planned:.0f} L direncanakan pada {day}, batas sehari {limit:.0f} L",
        "{planned:.0f} L are planned on {day}, the day's limit is {limit:.0f} L",
    ),
}


def conflict_sentence(conflict: Conflicting, language: Language) -> str:
    """Return one sentence, without a full stop: what conflicts, with the numbers."""
    return fill(CONFLICTS[conflict.code][which(language)], conflict.numbers, language)


def conflict_templates() -> Iterator[tuple[str, str]]:
    """Yield each sentence in English and Indonesian, with `{}` for what differs each time."""
    for indonesian, english in CONFLICTS.values():
        yield re.sub(r"\{[^}]*\}", "{}", english), re.sub(r"\{[^}]*\}", "{}", indonesian)
