# SPDX-License-Identifier: Apache-2.0
"""What is or was wrong, in the words of its code (`control.alarms_codes`)."""

from __future__ import annotations

from control.alarms import Alarm
from control.alarms_codes import CODES
from control.sentences.numbers import Language, fill, which

__all__ = ["alarm_sentence"]


def alarm_sentence(alarm: Alarm, language: Language) -> str:
    """Return one sentence: what is or was wrong, with the numbers that were seen."""
    code = CODES.get(alarm.code)
    if code is None:  # raised by another version
        return f"{alarm.code}: {alarm.subject}."
    return fill(code.words[which(language)], alarm.details, language)
