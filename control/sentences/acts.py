# SPDX-License-Identifier: Apache-2.0
"""What an act is, how it stands, what came of it."""

from __future__ import annotations

from typing import Final

from control.records import Act
from control.sentences.numbers import Language, Words, number, which
from control.sentences.reasons import REASONS

__all__ = ["ACTIONS", "CAUSES", "STATES", "act_amount", "act_sentence", "reason_words"]

# Of an act beyond a budget, by whose decision and why; of one that the device itself may end sooner.
BEYOND: Final[Words] = (
    "; melebihi anggaran atas keputusan {actor}: {why}",
    "; beyond the budget by decision of {actor}: {why}",
)
DEVICE_LIMIT: Final[Words] = (
    "; batas harian di perangkat sendiri tetap berlaku",
    "; the device's own limit of the day still holds",
)

SMALL: Final = 10  # an amount below it has a decimal
ACTIONS: Final[dict[str, Words]] = {
    "irrigate": ("Penyiraman", "Watering"),
    "feed": ("Pemberian pakan", "Feeding"),
    "aerate": ("Aerasi", "Aeration"),
    "stop": ("Penghentian", "Stop"),
}
STATES: Final[dict[str, Words]] = {
    "planned": ("direncanakan", "planned"),
    "held": ("ditahan", "held"),
    "sent": ("dikirim ke perangkat", "sent to the device"),
    "accepted": ("diterima perangkat", "accepted by the device"),
    "running": ("sedang berjalan", "under way"),
    "done": ("selesai", "done"),
    "failed": ("gagal", "failed"),
    "rejected": ("ditolak perangkat", "refused by the device"),
    "expired": ("kedaluwarsa, tidak dilakukan", "expired, not done"),
    "indeterminate": ("terputus di tengah: akhirnya tidak pasti", "broken off in the middle: its end is uncertain"),
    "skipped": ("dilewati", "skipped"),
    "cancelled": ("dibatalkan", "cancelled"),
    "superseded": ("diganti", "superseded"),
    "unknown": ("belum pasti: perangkat tidak memberi kabar", "unknown: no word from the device"),
}
# Why an act ended so, or is held: the device's words (docs/mqtt-contract.md) and ours; beside them the rules' reasons.
CAUSES: Final[dict[str, Words]] = {
    "expired": ("terlambat sampai di perangkat", "it came to the device too late"),
    "unsynchronised": ("jam perangkat belum disetel", "the device's clock is not set"),
    "interlock": ("pengaman perangkat menolak", "the device's own limits refused it"),
    "busy": ("perangkat sedang sibuk", "the device was busy"),
    "unknown-action": ("perangkat tidak mengenal perintah ini", "the device does not know this action"),
    "out-of-range": ("perintah tidak cocok untuk perangkat ini", "it does not fit this device"),
    "replayed": ("nomor perintah sudah terpakai", "its number was used before"),
    "stopped": ("dihentikan", "stopped"),
    "max-seconds": ("batas waktu perangkat tercapai", "the device's longest run was reached"),
    "no-flow": ("tidak ada aliran air", "no water flowed"),
    "jam": ("pelontar pakan macet", "the feeder jammed"),
    "hopper-empty": ("wadah pakan kosong", "the hopper is empty"),
    "hardware": ("perangkat keras rusak", "a fault of the hardware"),
    "never-handed-over": ("tidak sempat dikirim", "it was never handed over"),
    "never-begun": ("tidak pernah dimulai perangkat", "the device never began it"),
    "not-in-ledger": ("perangkat tidak mengenalnya lagi", "the device does not know of it any more"),
    "paused": ("zonanya dijeda", "the zone was paused"),
    "rain-delay": ("ditunda karena hujan", "put off because of rain"),
    "skipped-once": ("dilewati sekali", "skipped once"),
    "missed": ("terlewat", "missed"),
    "not-running": (
        "waktu itu Tirta tidak berjalan, atau jamnya dimajukan",
        "Tirta did not run then, or its clock was put forward",
    ),
    "no-room-in-window": ("tidak mendapat giliran di pompanya pada waktunya", "it did not get its turn on its pump in time"),
    "flow-above-resource": ("pompanya tidak memberi sebanyak itu", "its pump does not give as much"),
    "not-continued": ("siklus sebelumnya dihentikan atau gagal", "the cycle before was stopped or failed"),
    "schedule-changed": ("jadwalnya diubah atau dihentikan", "its schedule was changed or ended"),
    "no-answer": ("perangkat tidak menjawab", "the device gave no answer"),
    "seen-by-hand": ("dipastikan oleh orang", "settled by a person"),
    "unsettled": ("akhir tindakan sebelumnya belum pasti", "the end of an earlier act is not known"),
    "not-connected": ("menunggu perangkat terhubung", "waiting for the device to connect"),
}
CYCLE: Final[Words] = (", siklus {part} dari {parts}", ", cycle {part} of {parts}")


def act_sentence(act: Act, language: Language) -> str:
    """Return one sentence: what the act is, how it stands, what came of it."""
    action = ACTIONS.get(act.action, (act.action, act.action))[which(language)]
    reason = f" ({reason_words(act.reason, language)})" if act.reason else ""
    cycle = "" if act.parts == 1 else CYCLE[which(language)].format(part=act.part, parts=act.parts)
    return f"{action}{act_amount(act, language)}{cycle}: {STATES[act.state][which(language)]}{reason}{_beyond(act, language)}."


def _beyond(act: Act, language: Language) -> str:
    if not act.override:
        return ""
    device = DEVICE_LIMIT[which(language)] if "device" in (act.beyond or "").split() else ""
    return BEYOND[which(language)].format(actor=act.actor, why=act.override.rstrip(".")) + device


def act_amount(act: Act, language: Language) -> str:
    """Return how much, with a blank before it: what was truly done where that is known, else what was asked for."""
    litres = act.result_litres if act.result_litres is not None else act.litres
    grams = act.result_grams if act.result_grams is not None else act.grams
    if litres is not None:
        return f" {_small(litres, language)} L"
    return "" if grams is None else f" {_small(grams, language)} g"


def _small(value: float, language: Language) -> str:
    return number(value, 1 if abs(value) < SMALL else 0, language)


def reason_words(reason: str, language: Language) -> str:
    """Return the words of why an act ended so; one that is not known is told as it is."""
    words = CAUSES.get(reason) or REASONS.get(reason)
    # Words with a number in them are of a decision: an act keeps the reason alone.
    return reason if words is None or "{" in words[0] else words[which(language)]
