# SPDX-License-Identifier: Apache-2.0
"""One sentence for a decision, an act or an alarm, in Indonesian and English, from its reasons and numbers.

    numbers.py       how each language writes numbers, spans of time and instants
    reasons.py       the words of each reason of the rules
    acts.py          the words of each state of an act, and of each reason that it ended so
    decisions.py     what was decided, and why
    proofs.py        whether an act had its effect
    alarms.py        what is or was wrong
    conflicts.py     what conflicts in a schedule that is to be saved
    previews.py      what a preview takes for granted

Invariant: every reason of the rules, every state of an act and every code of an alarm has its words in both languages.
"""

from __future__ import annotations

from control.alarms import Alarm
from control.conflicts import Conflicting
from control.records import Act, Decision
from control.sentences.acts import act_sentence
from control.sentences.alarms import alarm_sentence
from control.sentences.conflicts import conflict_sentence, conflict_templates
from control.sentences.decisions import decision_sentence
from control.sentences.numbers import Language
from control.sentences.proofs import proof_sentence

__all__ = [
    "Language",
    "act_sentence",
    "alarm_sentence",
    "conflict_sentence",
    "conflict_templates",
    "decision_sentence",
    "proof_sentence",
    "proof_sentences",
    "sentences",
]


def sentences(item: Decision | Act | Alarm | Conflicting) -> dict[str, str]:
    """Return the sentence of a decision, an act, an alarm or a conflict in each language."""
    if isinstance(item, Conflicting):
        return {"id": conflict_sentence(item, "id"), "en": conflict_sentence(item, "en")}
    if isinstance(item, Decision):
        return {"id": decision_sentence(item, "id"), "en": decision_sentence(item, "en")}
    if isinstance(item, Alarm):
        return {"id": alarm_sentence(item, "id"), "en": alarm_sentence(item, "en")}
    return {"id": act_sentence(item, "id"), "en": act_sentence(item, "en")}


def proof_sentences(act: Act) -> dict[str, str]:
    """Return the verdict on an act in each language."""
    return {"id": proof_sentence(act, "id"), "en": proof_sentence(act, "en")}
