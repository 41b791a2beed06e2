# SPDX-License-Identifier: Apache-2.0
"""One sentence for a decision, an act or an alarm, in Indonesian and English, from its reasons and numbers.

Invariant: every reason of the rules, every state of an act and every code of an alarm has its words in both languages.
"""

from __future__ import annotations

from typing import Final, Literal

from control.alarms import Alarm
from control.alarms_codes import CODES
from control.records import Act, Decision

__all__ = ["Language", "act_sentence", "alarm_sentence", "decision_sentence", "sentences"]

Language = Literal["id", "en"]

# Why not, or why less; the first that holds is told. Numbers are those the rule saw.
_REASONS: Final[dict[str, tuple[str, str]]] = {
    "interlock": ("pengaman menahan atau memotong perintah", "the last safety check refused or cut it"),
    "invalid-parameter": ("parameter zona belum lengkap atau salah", "a parameter of the zone is missing or wrong"),
    "invalid-state": ("catatan zona tidak dapat dipakai", "the zone's record is not usable"),
    "disabled": ("jadwal dimatikan", "the schedule is switched off"),
    "offline": ("perangkat tidak terhubung", "the device is not connected"),
    "unsettled": ("hasil tindakan sebelumnya belum diketahui", "the end of an earlier act is not known"),
    "busy": ("tindakan lain sedang berjalan", "an act is under way"),
    "no-reading": ("belum ada pembacaan sensor", "there is no reading of the sensor"),
    "stale-reading": ("pembacaan sensor sudah {age_s:.0f} detik", "the sensor's reading is {age_s:.0f} s old"),
    "low-oxygen": (
        "oksigen terlarut {dissolved_oxygen:.1f} mg/L, batasnya {oxygen_stop:.1f}",
        "dissolved oxygen is {dissolved_oxygen:.1f} mg/L, the limit {oxygen_stop:.1f}",
    ),
    "oxygen-unknown": ("kadar oksigen tidak diketahui", "the oxygen is not known"),
    "meal-missed": ("waktu makan sudah lewat {late_s:.0f} detik", "the meal is {late_s:.0f} s late"),
    "meal-gap": ("makan terakhir baru {since_last_s:.0f} detik lalu", "the last meal was only {since_last_s:.0f} s ago"),
    "grams-day-spent": (
        "jatah pakan hari ini {grams_day:.0f} g sudah habis",
        "the day's {grams_day:.0f} g of feed are spent",
    ),
    "budget-spent": (
        "jatah air hari ini {litres_day:.0f} L sudah habis",
        "the day's {litres_day:.0f} L of water are spent",
    ),
    "outside-hours": ("di luar jam penyiraman", "it is outside the watering hours"),
    "soaking": ("air masih meresap", "the water is still soaking in"),
    "below-useful-run": ("kekurangan air terlalu sedikit", "too little is missing to be worth a run"),
    "wet-enough": (
        "tanah cukup lembap ({soil_moisture:.1%}, mulai disiram di bawah {low:.1%})",
        "the soil is moist enough ({soil_moisture:.1%}, watered below {low:.1%})",
    ),
    "no-meal-due": ("belum waktunya makan", "no meal is due"),
    "run-missed": ("waktu siram sudah lewat {late_s:.0f} detik", "the run is {late_s:.0f} s late"),
    "season-out": ("bulan ini tidak disiram", "this month is not watered"),
    "no-run-due": ("belum waktunya menyiram", "no run is due"),
    "oxygen-reduced": (
        "porsi dikurangi karena oksigen {dissolved_oxygen:.1f} mg/L",
        "less because dissolved oxygen is {dissolved_oxygen:.1f} mg/L",
    ),
    "ration-clipped": ("porsi dibatasi jatah", "cut to the ration"),
    "budget-clipped": ("dibatasi sisa jatah air hari ini", "cut to what is left of the day's water"),
    "max-run-clipped": ("dibatasi lama jalan terpanjang", "cut to the longest run"),
    "dry": (
        "kelembapan tanah {soil_moisture:.1%}, di bawah batas {low:.1%}",
        "soil moisture is {soil_moisture:.1%}, below {low:.1%}",
    ),
    "latched": (
        "kelembapan tanah {soil_moisture:.1%}, diisi sampai {high:.1%}",
        "soil moisture is {soil_moisture:.1%}, being filled to {high:.1%}",
    ),
    "meal-due": ("waktunya makan", "a meal is due"),
    "run-due": ("waktunya menyiram", "a run is due"),
    "carried": ("ditambah {carried:.0f} L yang terlewat", "with {carried:.0f} L of what was missed"),
}
_ACTING: Final = ("dry", "latched", "meal-due", "run-due", "carried")  # why an act happens
_LESSENING: Final = ("oxygen-unknown", "oxygen-reduced", "ration-clipped", "budget-clipped", "max-run-clipped", "interlock")
_DOES: Final[dict[str, tuple[str, str]]] = {
    "irrigation": (
        "Menyiram {litres:.0f} L selama {seconds:.0f} detik",
        "Watering {litres:.0f} L in {seconds:.0f} s",
    ),
    "feeding": ("Memberi pakan {grams:.0f} g", "Feeding {grams:.0f} g"),
}
_DOES_NOT: Final[dict[str, tuple[str, str]]] = {
    "irrigation": ("Tidak menyiram", "Not watering"),
    "feeding": ("Tidak memberi pakan", "Not feeding"),
}
_ACTIONS: Final[dict[str, tuple[str, str]]] = {
    "irrigate": ("Penyiraman", "Watering"),
    "feed": ("Pemberian pakan", "Feeding"),
    "aerate": ("Aerasi", "Aeration"),
    "stop": ("Penghentian", "Stop"),
}
_STATES: Final[dict[str, tuple[str, str]]] = {
    "planned": ("direncanakan", "planned"),
    "held": ("menunggu perangkat terhubung", "waiting for the device to connect"),
    "sent": ("dikirim ke perangkat", "sent to the device"),
    "accepted": ("diterima perangkat", "accepted by the device"),
    "running": ("sedang berjalan", "under way"),
    "done": ("selesai", "done"),
    "failed": ("gagal", "failed"),
    "rejected": ("ditolak perangkat", "refused by the device"),
    "expired": ("kedaluwarsa, tidak dilakukan", "expired, not done"),
    "indeterminate": (
        "tidak pasti: perangkat menyala ulang di tengahnya",
        "indeterminate: the device restarted in the middle",
    ),
    "skipped": ("dilewati", "skipped"),
    "cancelled": ("dibatalkan", "cancelled"),
    "superseded": ("digantikan", "superseded"),
    "unknown": ("belum diketahui: perangkat tidak memberi kabar", "unknown: no word from the device"),
}


def decision_sentence(decision: Decision, language: Language) -> str:
    """Return one sentence: what was decided and why."""
    numbers = _Known((name, value) for name, value in decision.inputs.items() if value is not None)
    which = 0 if language == "id" else 1
    if decision.acted:
        why: list[str] = [name for name in (*_ACTING, *_LESSENING) if name in decision.reasons]
        head = _DOES.get(decision.kind, _DOES["irrigation"])[which]
    else:
        why = [name for name in _REASONS if name in decision.reasons][:1]
        head = _DOES_NOT.get(decision.kind, _DOES_NOT["irrigation"])[which]
    told = [_REASONS[name][which] for name in why]
    return (head + (": " + "; ".join(told) if told else "") + ".").format_map(numbers)


def act_sentence(act: Act, language: Language) -> str:
    """Return one sentence: what the act is, how it stands, what came of it."""
    which = 0 if language == "id" else 1
    amounts = {
        "L": act.result_litres if act.result_litres is not None else act.litres,
        "g": act.result_grams if act.result_grams is not None else act.grams,
    }
    much = next((f" {value:.0f} {unit}" for unit, value in amounts.items() if value is not None), "")
    reason = f" ({act.reason})" if act.reason else ""
    return f"{_ACTIONS.get(act.action, (act.action, act.action))[which]}{much}: {_STATES[act.state][which]}{reason}."


def alarm_sentence(alarm: Alarm, language: Language) -> str:
    """Return one sentence: what is or was wrong, with the numbers that were seen."""
    code = CODES.get(alarm.code)
    if code is None:  # raised by another version
        return f"{alarm.code}: {alarm.subject}."
    return code.words[0 if language == "id" else 1].format_map(_Known(alarm.details))


def sentences(item: Decision | Act | Alarm) -> dict[str, str]:
    """Return the sentence of a decision, an act or an alarm in each language."""
    if isinstance(item, Decision):
        return {"id": decision_sentence(item, "id"), "en": decision_sentence(item, "en")}
    if isinstance(item, Alarm):
        return {"id": alarm_sentence(item, "id"), "en": alarm_sentence(item, "en")}
    return {"id": act_sentence(item, "id"), "en": act_sentence(item, "en")}


class _Gap(float):
    """A number that was not kept, or was none."""

    def __format__(self, spec: str) -> str:
        return "?"


class _Known(dict[str, float | str]):
    """Numbers and words by name; what is missing never breaks a sentence."""

    def __missing__(self, key: str) -> float:
        return _Gap(0)
