# SPDX-License-Identifier: Apache-2.0
"""The report of a day as text, within 100 columns, in Indonesian or English.

Invariant: every row of the report is a line, and what has no row in the ledger cannot be overlooked.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Final
from zoneinfo import ZoneInfo

from control.sentences.acts import STATES, reason_words
from control.sentences.moments import MOMENTS
from control.sentences.numbers import Language, Words, number, which
from tirta.client.acts import Amounts
from tirta.client.reports import DayReport, DayRow, DayTotals

__all__ = ["COLUMNS", "day_lines"]

COLUMNS: Final = 100
_STATE: Final = 19  # columns of the state, as of the other columns below
_TIME: Final = 5
_AMOUNT: Final = 9
_HELD: Final = "\u00a0=\u00a0"
_WORDS: Final[dict[str, Words]] = {
    "at": ("pukul", "at"),
    "state": ("keadaan", "state"),
    "begun": ("mulai", "begun"),
    "ended": ("akhir", "ended"),
    "asked": ("diminta", "asked"),
    "given": ("diberi", "given"),
    "seen": ("dilihat", "seen"),
    "device": ("seluruh perangkat", "the whole device"),
    "nothing": ("Tidak ada yang direncanakan dan tidak ada yang dilakukan.", "Nothing was planned and nothing done."),
    "planned": ("direncanakan", "planned"),
    "done": ("selesai", "done"),
    "not_done": ("tidak dilakukan", "not done"),
    "open": ("terbuka", "open"),
    "without_row": ("TANPA CATATAN", "WITHOUT A ROW"),
    "others": ("di luar jadwal", "beside the calendar"),
    "left_out": ("baris lagi dihitung dan tidak ditampilkan", "more rows are counted and not shown"),
    "fault": (
        "Buku tindakan tidak lengkap: momen di atas direncanakan dan tidak tercatat. Ini kesalahan Tirta; laporkan.",
        "The ledger has gaps: the moments above were planned and it knows nothing of them. This is Tirta's fault; report it.",
    ),
}
_SORTS: Final[dict[str, Words]] = {
    "calendar": ("", ""),
    "rule": ("menurut sensor", "by measurement"),
    "hand": ("dengan tangan", "by hand"),
    "board": ("di perangkat", "at the board"),
    "other": ("di luar kalender", "not in the calendar now"),
}
# In a column there is room for a word or two.
_SHORT: Final[dict[str, Words]] = {
    "sent": ("dikirim", "sent"),
    "accepted": ("diterima", "accepted"),
    "running": ("berjalan", "running"),
    "rejected": ("ditolak", "rejected"),
    "expired": ("kedaluwarsa", "expired"),
    "indeterminate": ("terputus", "indeterminate"),
    "unknown": ("belum pasti", "unknown"),
    "without-row": ("TANPA CATATAN", "WITHOUT A ROW"),
}


def day_lines(report: DayReport, language: Language) -> Iterator[str]:
    """Yield the report, line by line."""
    zone, word = ZoneInfo(report.timezone), which(language)
    seen = report.seen.astimezone(zone).strftime("%Y-%m-%d %H:%M")
    yield f"{report.title} ({report.site})  {report.date.isoformat()}  {report.timezone}  {_WORDS['seen'][word]} {seen}"
    if not report.rows:
        yield f"  {_WORDS['nothing'][word]}"
    for place, rows in groupby(report.rows, key=lambda row: (row.device, row.zone)):
        found = list(rows)
        yield ""
        yield f"{place[1]}  {found[0].title}" if place[1] else f"{place[0]}  {_WORDS['device'][word]}"
        yield _columns(*(_WORDS[name][word] for name in ("at", "state", "begun", "ended", "asked", "given")))
        for row in found:
            yield from _row_lines(row, zone, language)
    yield ""
    yield from _total_lines(report.totals, language)
    if report.left_out:
        yield f"... {report.left_out} {_WORDS['left_out'][word]}"


def _row_lines(row: DayRow, zone: ZoneInfo, language: Language) -> Iterator[str]:
    word = which(language)
    state = _state(row.state, language) + (f" {row.part}/{row.parts}" if row.parts > 1 else "")
    sort = _SORTS[row.sort][word]
    times = [_time(at, zone) for at in (row.at, row.begun, row.ended)]
    asked, given = (_amount(amount, language) for amount in (row.amount, row.result))
    yield _columns(times[0], state, times[1], times[2], asked, given)
    said = row.sentence.id if language == "id" else row.sentence.en
    yield from _wrapped(f"{sort}: {said}" if sort else said, " " * 9)


def _columns(at: str, state: str, begun: str, ended: str, asked: str, given: str) -> str:
    line = f"  {at:<{_TIME}}  {state:<{_STATE}} {begun:<{_TIME}}  {ended:<{_TIME}}  {asked:>{_AMOUNT}}  {given:>{_AMOUNT}}"
    return line.rstrip()


def _total_lines(totals: DayTotals, language: Language) -> Iterator[str]:
    word = which(language)

    def counted(name: str, count: int, parts: Mapping[str, int]) -> str:
        told = ", ".join(f"{_named(part, language)} {number_of}" for part, number_of in sorted(parts.items()))
        return f"{_WORDS[name][word]} = {count}{f' ({told})' if told else ''}"

    parts = [
        counted("planned", totals.planned, {}),
        counted("done", totals.done, {}),
        counted("not_done", sum(totals.not_done.values()), totals.not_done),
        counted("open", sum(totals.open.values()), totals.open),
    ]
    yield from _wrapped(", ".join(parts), "  ", "")
    more = [counted("others", sum(totals.others.values()), totals.others)] if totals.others else []
    for amount, unit in ((totals.litres, "L"), (totals.grams, "g")):
        more += [f"{_WORDS['given'][word]} {number(amount, 1, language)} {unit}"] if amount else []
    if more:
        yield from _wrapped(", ".join(more), "  ", "")
    yield f"{_WORDS['without_row'][word]} = {totals.without_row}"
    if totals.without_row:
        yield from _wrapped(_WORDS["fault"][word], "!!  ")


def _named(part: str, language: Language) -> str:
    """Return the words of "state" or "state: reason", or of a sort."""
    if part in _SORTS:
        return _SORTS[part][which(language)]
    state, _, reason = part.partition(": ")
    return _state(state, language) + (f": {reason_words(reason, language)}" if reason else "")


def _state(state: str, language: Language) -> str:
    words = _SHORT.get(state) or STATES.get(state) or MOMENTS.get(state)
    return state if words is None else words[which(language)]


def _time(at: datetime | None, zone: ZoneInfo) -> str:
    return "-" if at is None else at.astimezone(zone).strftime("%H:%M")


def _amount(amount: Amounts, language: Language) -> str:
    for value, unit in ((amount.litres, "L"), (amount.grams, "g"), (amount.seconds, "s")):
        if value is not None:
            return f"{number(value, 1, language)} {unit}"
    return "-"


def _wrapped(text: str, indent: str, first: str | None = None) -> list[str]:
    held = text.replace(" = ", _HELD)  # a count stays with its name
    lines = textwrap.wrap(held, COLUMNS, initial_indent=indent if first is None else first, subsequent_indent=indent)
    return [line.replace(_HELD, " = ") for line in lines]
