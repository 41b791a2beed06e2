# SPDX-License-Identifier: Apache-2.0
"""The page of acts, docs/acts.md: their states and every step between them, drawn from the table in `control.states`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from control.sentences.acts import CAUSES
from control.sentences.acts import STATES as SAID
from control.states import ENDED, FIRST, HELD_FOR, SETTLED, STATES, STEPS, WORDS

__all__ = ["acts_page"]

_ABOUT: Final = """\
An act is one watering, one meal, one run of an aerator, or a stop. It has one identity from plan to proof: its id follows
from the schedule, its version, the zone and the planned moment, so that planning it again finds it. It is committed to the
ledger before anything is sent, and marked as handed over before it is published. Sent again, it has the same id and the same
number `n`; the next number follows when the one before had a word or has expired. Every step is kept with its time, its
cause and its actor: `GET /api/v1/acts/{record}`."""

_DRAWN: Final = """\
What a device may say is drawn as one: from a state with an arrow to *the device's word* each of those may follow, also late."""

_SETTLED: Final = """\
## How an act of unknown end is settled

What holds is the device's word: an ack, or its own ledger in `status`, for which it is asked by `ping` as soon as an act is
unknown, and every 5 minutes. A live status that does not list the act settles it too: where the device has not reached the
act's number it never began, and is `expired`; where it has passed the number and lists all it has, or has lost its memory,
the act is `indeterminate`. Until then nothing else is handed over to the zone.

An act that stays unknown for 10 minutes raises the alarm `act-unknown`: somebody should look. Who has looked tells what was
seen, by `tirta act settle` or `POST /api/v1/acts/{record}/settle`: {states}, how much where that is known, and how it is
known, which stands in the audit trail. `indeterminate` counts as given. A person may also let go of the act by stopping it:
`cancelled`, and counted as given. Should the device tell afterwards how it truly ended, that takes the place of what was
concluded without it; what the device itself has ended, nothing changes.

A number that the device refuses as `replayed` shows that it knows a higher one, as after a restore of the platform from a
backup. The act, which it has not begun, is held, the device is asked for its last number, and the act is sent under one
above it."""


def acts_page(made: str) -> Iterator[str]:
    """Yield the lines of the page; `made` says by what."""
    yield from ("# Acts", "", made, "", _ABOUT, "", "## Steps", "", _DRAWN, "")
    yield from ("```mermaid", "stateDiagram-v2", *_drawing(), "```", "")
    yield from ("## States of an act", "", "| state | Indonesian | meaning | may become |", "|---|---|---|---|")
    for state, meaning in STATES.items():
        after = ", ".join(f"`{name}`" for name in STATES if name in STEPS[state]) or "nothing any more"
        yield f"| `{state}` | {SAID[state][0]} | {meaning} | {after} |"
    yield from ("", f"An act begins as {_listed(name for name in STATES if name in FIRST)}.", "")
    yield from ("## What an act is held for", "", "| `reason` | Indonesian | meaning |", "|---|---|---|")
    for reason, meaning in HELD_FOR.items():
        yield f"| `{reason}` | {CAUSES[reason][0]} | {meaning} |"
    yield from ("", _SETTLED.replace("{states}", _listed(SETTLED)))


def _drawing() -> Iterator[str]:
    yield '    state "the device\'s word" as word {'
    for state in (name for name in STATES if name in WORDS):
        inside = [after for after in STATES if after in STEPS[state] & WORDS]
        yield from (f"        {state} --> {after}" for after in inside)
    yield "    }"
    yield from (f"    [*] --> {state}" for state in STATES if state in FIRST - WORDS)
    yield "    [*] --> word: done at the board"
    for state in STATES:
        says = STEPS[state] >= WORDS
        yield from (f"    {state} --> {after}" for after in STATES if after in STEPS[state] - WORDS)
        if says:
            yield f"    {state} --> word" + (": late" if state in ENDED else "")


def _listed(names: Iterator[str] | tuple[str, ...]) -> str:
    *most, last = [f"`{name}`" for name in names]
    return f"{', '.join(most)} or {last}"
