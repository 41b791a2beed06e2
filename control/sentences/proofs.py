# SPDX-License-Identifier: Apache-2.0
"""Whether an act had its effect, and what speaks for or against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from control.records import Act
from control.sentences.numbers import Language, Words, fill, which

__all__ = ["FINDING_WORDS", "VERDICT_WORDS", "proof_sentence"]

VERDICT_WORDS: Final[dict[str, Words]] = {
    "proved": ("Terbukti", "Proved"),
    "doubtful": ("Meragukan", "Doubtful"),
    "disproved": ("Tidak terbukti", "Disproved"),
    "no-evidence": ("Tanpa bukti", "No evidence"),
}
_FLOW: Final[Words] = (
    "debit {flow_l_min:.1f} L/menit, seharusnya {rated_l_min:.1f}",
    "flow was {flow_l_min:.1f} L/min and should be {rated_l_min:.1f}",
)
_FELL: Final[Words] = (
    "wadah berkurang {fell_g:.0f} g dari {expected_g:.0f} g",
    "the hopper lost {fell_g:.0f} g of {expected_g:.0f} g",
)
FINDING_WORDS: Final[dict[str, Words]] = {
    "no-water": ("tidak ada air yang mengalir", "no water flowed"),
    "clogged": (f"tersumbat: {_FLOW[0]}", f"clogged: {_FLOW[1]}"),
    "burst": (f"pipa pecah atau bocor: {_FLOW[0]}", f"a pipe has burst or leaks: {_FLOW[1]}"),
    "late-flow": ("air baru mengalir setelah {flow_after_s:span}", "water only flowed after {flow_after_s:span}"),
    "no-rise": (
        "tanah tidak menjadi lebih basah ({rise:.1%}, seharusnya {dose_rise:.1%})",
        "the soil did not get wetter ({rise:.1%}, where it should by {dose_rise:.1%})",
    ),
    "jam": ("pelontar pakan macet", "the feeder jammed"),
    "hopper-empty": ("wadah pakan kosong", "the hopper is empty"),
    "not-fed": (f"pakan tidak keluar: {_FELL[0]}", f"feed did not fall: {_FELL[1]}"),
    "overfed": (f"pakan terlalu banyak: {_FELL[0]}", f"too much feed fell: {_FELL[1]}"),
    "hardware": ("perangkat melaporkan kerusakan", "the device reports a fault of its hardware"),
    "result-differs": (
        "perangkat menyebut {result_l:.0f} L, meteran {measured_l:.0f} L",
        "the device says {result_l:.0f} L, the meter {measured_l:.0f} L",
    ),
    "interrupted": ("terputus di tengah", "it was broken off in the middle"),
    "no-meter": ("tidak ada alat ukur", "nothing measures it"),
    "no-readings": ("tidak ada pembacaan sesudahnya", "there are no readings after it"),
    "too-little": ("terlalu sedikit untuk diukur", "it was too little to measure"),
    "refilled": ("wadah diisi pada saat itu", "the hopper was filled at that time"),
    "store-down": ("penyimpanan tidak menjawab", "the store did not answer"),
}
_WELL: Final[dict[str, Words]] = {
    "irrigate": (
        "{measured_l:.0f} L dari {expected_l:.0f} L mengalir",
        "{measured_l:.0f} L of {expected_l:.0f} L flowed",
    ),
    "feed": _FELL,
}


def proof_sentence(act: Act, language: Language) -> str:
    """Return one sentence: the verdict on an act, and its reason with the numbers; empty where there is none."""
    if act.verdict is None:
        return ""
    numbers: Mapping[str, Any] = act.proof or {}
    finding = numbers.get("finding")
    words = FINDING_WORDS.get(str(finding)) if finding else _WELL.get(act.action) if act.verdict == "proved" else None
    told = VERDICT_WORDS[act.verdict][which(language)]
    return f"{told}." if words is None else fill(f"{told}: {words[which(language)]}.", numbers, language)
