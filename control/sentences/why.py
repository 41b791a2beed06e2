# SPDX-License-Identifier: Apache-2.0
"""Why a zone was acted on or was not, in one sentence with its name and the time there.

Invariant: the time is the site's own; of another day than today the day is told as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from control.records import Act, Decision, Transition
from control.sentences.acts import ACTIONS, STATES, act_amount, reason_words
from control.sentences.decisions import decision_why
from control.sentences.numbers import Language, Words, which
from control.sentences.proofs import proof_sentence
from control.sentences.reasons import REASONS

__all__ = ["Scene", "act_why", "moment_words", "unscheduled_why", "zone_why"]

_NOT_DONE: Final[dict[str, Words]] = {
    "irrigation": ("tidak disiram", "was not watered"),
    "timer": ("tidak disiram", "was not watered"),
    "feeding": ("tidak diberi pakan", "was not fed"),
}
_NOTHING_KNOWN: Final[Words] = ("{title}: belum ada catatan {at}.", "{title}: nothing is on record {at}.")
_UNSCHEDULED: Final[Words] = ("{title}: tidak ada jadwal yang berlaku {at}.", "{title}: no schedule was in force {at}.")
_MONTHS: Final[tuple[Words, ...]] = (
    ("Januari", "January"),
    ("Februari", "February"),
    ("Maret", "March"),
    ("April", "April"),
    ("Mei", "May"),
    ("Juni", "June"),
    ("Juli", "July"),
    ("Agustus", "August"),
    ("September", "September"),
    ("Oktober", "October"),
    ("November", "November"),
    ("Desember", "December"),
)
_AT_THE_BOARD: Final[Words] = ("dilakukan di perangkat", "done at the board")
_ASKED_FOR: Final[Words] = ("diminta oleh {who}", "asked for by {who}")
_TOLD_BY: Final[Words] = ("menurut {who}: {what}", "as {who} saw: {what}")
_ENDED_BY: Final[Words] = ("oleh {who}", "by {who}")
_REPLACED: Final[Words] = ("jadwalnya diubah oleh {who}", "its schedule was changed by {who}")
_SEEN: Final = "seen: "  # begins the cause of what a person saw
_TICK_MS: Final = 120_000  # a decision of the last ticks was made for the instant that is asked about [ms]


@dataclass(frozen=True, slots=True)
class Scene:
    """Where something happened, and from when it is told.

    Attributes
    ----------
    title : str
        What people call the zone, or the device for what concerns all of its zones.
    """

    title: str
    zone: ZoneInfo
    now_ms: int


def act_why(act: Act, steps: Sequence[Transition], decision: Decision | None, scene: Scene, language: Language) -> str:
    """Return the sentence of an act: what, where, when, how it stands, and why; and the one on whether it had its effect."""
    place = which(language)
    action = ACTIONS.get(act.action, (act.action, act.action))[place]
    at = moment_words(act.planned_ms, scene, language)
    head = f"{action}{act_amount(act, language)} {('di', 'of')[place]} {scene.title} {at}"
    why = "; ".join(_causes(act, steps, decision, language))
    told = f"{head}{('', ':')[place]} {STATES[act.state][place]}" + (f"{(': ', '; ')[place]}{why}" if why else "") + "."
    proof = proof_sentence(act, language)
    return f"{told} {proof}" if proof else told


def zone_why(decision: Decision | None, at_ms: int, scene: Scene, language: Language) -> str:
    """Return the sentence of a zone in which nothing was done at an instant."""
    place, at = which(language), moment_words(at_ms, scene, language)
    if decision is None:
        return _placed(_NOTHING_KNOWN[place], scene, at)
    done = _NOT_DONE.get(decision.kind, _NOT_DONE["irrigation"])[place]
    why = decision_why(decision, language)
    since = ""
    if at_ms - decision.at_ms > _TICK_MS:
        since = f" ({('sejak', 'since')[place]} {moment_words(decision.at_ms, scene, language, at='')})"
    return f"{scene.title} {done} {at}" + (f": {why}" if why else "") + f"{since}."


def unscheduled_why(at_ms: int, scene: Scene, language: Language) -> str:
    """Return the sentence of a zone that no schedule was about at an instant."""
    return _placed(_UNSCHEDULED[which(language)], scene, moment_words(at_ms, scene, language))


def moment_words(ms: int, scene: Scene, language: Language, *, at: str | None = None) -> str:
    """Return an instant in the words of the place: the time, and the day where that is not today."""
    when = datetime.fromtimestamp(ms / 1000, scene.zone)
    today = datetime.fromtimestamp(scene.now_ms / 1000, scene.zone)
    day = "" if when.date() == today.date() else f"{when.day} {_MONTHS[when.month - 1][which(language)]}"
    if day and when.year != today.year:
        day += f" {when.year}"
    if language == "id":
        return f"{day} pukul {when:%H:%M}".strip()
    words = f"{'at' if at is None else at} {when:%H:%M}".strip()
    return f"{words} on {day}" if day else words


def _placed(words: str, scene: Scene, at: str) -> str:
    return words.replace("{title}", scene.title).replace("{at}", at)


def _causes(act: Act, steps: Sequence[Transition], decision: Decision | None, language: Language) -> list[str]:
    """Return why an act is as it is, what weighs most first."""
    place, told = which(language), []
    last = steps[-1] if steps else None
    if last is not None and last.cause.startswith(_SEEN):
        told.append(_TOLD_BY[place].format(who=last.actor, what=last.cause.removeprefix(_SEEN)))
    elif act.reason:
        told.append(reason_words(act.reason, language))
    if act.state == "skipped" and steps:
        told += _held_by(act, steps[0].cause, decision, language)
        if act.reason == "skipped-once":
            told.append(_ENDED_BY[place].format(who=act.actor))
    elif act.state == "superseded" and last is not None:
        told.append(_REPLACED[place].format(who=last.actor))
    elif act.state == "cancelled" and last is not None:
        told.append(_ENDED_BY[place].format(who=last.actor))
    if decision is not None and decision.acted:
        told.append(decision_why(decision, language))
    elif act.origin == "manual":
        told.append(_ASKED_FOR[place].format(who=act.actor))
    elif act.origin == "device":
        told.append(_AT_THE_BOARD[place])
    return [words for words in told if words]


def _held_by(act: Act, cause: str, decision: Decision | None, language: Language) -> list[str]:
    """Return what held a planned moment until it was left out: its cause lists it behind a colon."""
    names = tuple(name.strip() for name in cause.partition(":")[2].split(","))
    known = tuple(name for name in names if name in REASONS)
    inputs = {} if decision is None else decision.inputs
    return [decision_why(Decision(0, act.zone_key or "", 0, "", False, known, inputs, None), language)] if known else []
