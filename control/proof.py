# SPDX-License-Identifier: Apache-2.0
"""Proof of effect: from what was measured around an act to a verdict on it, with the numbers.

Pure. Invariants: without a meter for the water, or a scale under the feed, nothing is ever proved, and what was not measured
is never held against an act; the device's own word that it failed counts as evidence, its word that it did well does not.
docs/proof.md says where each threshold comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = [
    "FINDINGS",
    "VERDICTS",
    "FeedEvidence",
    "Proof",
    "ProofConfig",
    "Verdict",
    "WaterEvidence",
    "judge_feed",
    "judge_water",
]

Verdict = Literal["proved", "doubtful", "disproved", "no-evidence"]

VERDICTS: Final[tuple[Verdict, ...]] = ("proved", "doubtful", "disproved", "no-evidence")
# What speaks against an act, or why nothing can be said of it.
FINDINGS: Final = (
    *("no-water", "clogged", "burst", "late-flow", "no-rise", "jam", "hopper-empty", "not-fed", "overfed"),
    *("hardware", "result-differs", "interrupted"),
    *("no-meter", "no-readings", "too-little", "refilled", "store-down"),
)
_WORDS: Final[Mapping[str, str]] = {"no-flow": "no-water", "jam": "jam", "hopper-empty": "hopper-empty", "hardware": "hardware"}


@dataclass(frozen=True, slots=True)
class ProofConfig:
    """Where the lines are drawn.

    Attributes
    ----------
    sound_low, sound_high : float
        Between these shares of what was to be expected an act is proved. [1]
    wrong_low, wrong_high : float
        Outside of these it is disproved; between them and the sound ones it is doubtful. [1]
    nothing : float
        Below this share nothing came. [1]
    meter_l, scale_g : float
        What a meter and a scale can tell apart; a smaller difference is none. [L], [g]
    visible_rise : float
        A dose that would make the root zone so much wetter has to be seen by its probe. [m3 m-3]
    probe_noise : float
        A rise up to this may be the probe's own. [m3 m-3]
    jam_share, light_share : float
        Current of the feeder's motor against what is usual there, above and below which it is jammed or turns in nothing. [1]
    jam_a, light_a : float
        The same where nothing is usual yet. [A]
    """

    sound_low: float = 0.8
    sound_high: float = 1.25
    wrong_low: float = 0.5
    wrong_high: float = 1.5
    nothing: float = 0.05
    meter_l: float = 1.0
    scale_g: float = 20.0
    visible_rise: float = 0.03
    probe_noise: float = 0.01
    jam_share: float = 2.0
    light_share: float = 0.6
    jam_a: float = 3.0
    light_a: float = 0.6


@dataclass(frozen=True, slots=True)
class WaterEvidence:
    """What is known of a watering; None is not known.

    Attributes
    ----------
    state, word : str
        How it ended, and the reason that the device gave.
    asked_l, result_l : float or None
        What was asked for, and what the device says that it gave. [L]
    seconds : float or None
        How long the valve was open. [s]
    rated_l_min : float or None
        The zone's rated flow. [L min-1]
    total_l : float or None
        By how much the meter's running total rose. [L]
    flow_l_min : float or None
        Mean of the flow read while the valve was open. [L min-1]
    flow_after_s, dry_until_s : float or None
        Since the opening: the first reading with flow, and the last one before it without. [s]
    flow_within_s : float
        After so long there has to be flow. [s]
    rise, dose_rise : float or None
        By how much the soil became wetter, and would have by the dose. [m3 m-3]
    heard : bool
        Whether anything was heard of the zone after the act.
    """

    state: str
    word: str | None = None
    asked_l: float | None = None
    result_l: float | None = None
    seconds: float | None = None
    rated_l_min: float | None = None
    total_l: float | None = None
    flow_l_min: float | None = None
    flow_after_s: float | None = None
    dry_until_s: float | None = None
    flow_within_s: float = 30.0
    rise: float | None = None
    dose_rise: float | None = None
    heard: bool = True

    @property
    def expected_l(self) -> float | None:
        """What the open valve should have let through. [L]"""
        if self.seconds is None or self.rated_l_min is None:
            return self.asked_l
        return self.seconds / 60.0 * self.rated_l_min

    @property
    def measured_l(self) -> float | None:
        """What came, by the running total, else by the flow. [L]"""
        if self.total_l is not None:
            return self.total_l
        if self.flow_l_min is None or self.seconds is None:
            return None
        return self.flow_l_min * self.seconds / 60.0


@dataclass(frozen=True, slots=True)
class FeedEvidence:
    """What is known of a meal; None is not known.

    Attributes
    ----------
    asked_g, result_g : float or None
        What was asked for, and what the device says that it gave. [g]
    fell_g : float or None
        By how much the hopper became lighter; below 0 it was filled meanwhile. [g]
    left_g : float or None
        What the hopper held after. [g]
    counted_g : float or None
        By how much the feeder's own count rose. [g]
    current_a, usual_a : float or None
        Of the motor in this meal, and in those that were proved before. [A]
    """

    state: str
    word: str | None = None
    asked_g: float | None = None
    result_g: float | None = None
    fell_g: float | None = None
    left_g: float | None = None
    counted_g: float | None = None
    current_a: float | None = None
    usual_a: float | None = None
    heard: bool = True


@dataclass(frozen=True, slots=True)
class Proof:
    """A verdict on an act.

    Attributes
    ----------
    finding : str or None
        What speaks against it, or why nothing can be said; one of `FINDINGS`.
    numbers : mapping
        What it rests on, each named with its unit.
    """

    verdict: Verdict
    finding: str | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)


def judge_water(seen: WaterEvidence, config: ProofConfig) -> Proof:
    """Judge a watering."""
    measured, expected = seen.measured_l, seen.expected_l
    numbers = _numbers(
        expected_l=expected,
        measured_l=measured,
        result_l=seen.result_l,
        seconds=seen.seconds,
        rated_l_min=seen.rated_l_min,
        flow_l_min=_mean_flow(seen),
        flow_after_s=seen.flow_after_s,
        rise=seen.rise,
        dose_rise=seen.dose_rise,
    )
    verdict, finding = _water(seen, measured, expected, config)
    return Proof(verdict, finding, numbers)


def judge_feed(seen: FeedEvidence, config: ProofConfig) -> Proof:
    """Judge a meal."""
    numbers = _numbers(
        expected_g=seen.result_g if seen.result_g is not None else seen.asked_g,
        fell_g=seen.fell_g,
        left_g=seen.left_g,
        counted_g=seen.counted_g,
        current_a=seen.current_a,
        usual_a=seen.usual_a,
    )
    verdict, finding = _feed(seen, config)
    return Proof(verdict, finding, numbers)


def _water(
    seen: WaterEvidence, measured: float | None, expected: float | None, config: ProofConfig
) -> tuple[Verdict, str | None]:
    if (word := _word(seen.state, seen.word)) is not None:
        given = measured if measured is not None else seen.result_l
        return _by_word(word, given, seen.asked_l, config.sound_low)
    if seen.state == "indeterminate":
        return ("no-evidence" if measured is None else "doubtful"), "interrupted"
    if measured is None:
        if _no_rise(seen, config):
            return "doubtful", "no-rise"
        return "no-evidence", "no-meter" if seen.heard else "no-readings"
    if expected is None or expected < config.meter_l:
        return "no-evidence", "too-little"
    verdict, finding = _by_share(measured, expected, config.meter_l, config, ("no-water", "clogged", "burst"))
    if verdict == "proved":
        if seen.result_l is not None and _differ(seen.result_l, measured, config.meter_l, config):
            return "doubtful", "result-differs"
        if seen.dry_until_s is not None and seen.dry_until_s > seen.flow_within_s:
            return "doubtful", "late-flow"
        if _no_rise(seen, config):
            return "doubtful", "no-rise"
    return verdict, finding


def _feed(seen: FeedEvidence, config: ProofConfig) -> tuple[Verdict, str | None]:
    if (word := _word(seen.state, seen.word)) is not None:
        given = seen.fell_g if seen.fell_g is not None else seen.result_g
        return _by_word(word, given, seen.asked_g, config.sound_low)
    if seen.state == "indeterminate":
        return ("no-evidence" if seen.fell_g is None else "doubtful"), "interrupted"
    expected = seen.result_g if seen.result_g is not None else seen.asked_g
    if expected is None or expected < 2.0 * config.scale_g:
        return "no-evidence", "too-little"
    if seen.fell_g is None:
        # The feeder's own count proves nothing, but where it did not move nothing was thrown.
        if seen.counted_g is not None and seen.counted_g < config.nothing * expected:
            return "disproved", _not_fed(seen, config)
        return "no-evidence", "no-meter" if seen.heard else "no-readings"
    if seen.fell_g < -config.scale_g:
        return "no-evidence", "refilled"
    verdict, finding = _by_share(seen.fell_g, expected, config.scale_g, config, ("not-fed", "not-fed", "overfed"))
    if finding == "not-fed":
        return verdict, _not_fed(seen, config)
    return verdict, finding


def _word(state: str, reason: str | None) -> str | None:
    return _WORDS.get(reason or "", "hardware") if state == "failed" else None


def _by_word(word: str, given: float | None, asked: float | None, enough: float) -> tuple[Verdict, str]:
    """Judge by the device's own word that it failed: only where nearly all was given all the same there is room for doubt."""
    if word == "hardware" or (given is not None and asked and given >= enough * asked):
        return "doubtful", word
    return "disproved", word


def _by_share(
    measured: float, expected: float, least: float, config: ProofConfig, findings: tuple[str, str, str]
) -> tuple[Verdict, str | None]:
    """Judge by how much came of what was expected, give or take what can be told apart."""
    nothing, little, much = findings
    share, blur = measured / expected, least / expected
    if share < config.nothing or measured < least <= config.wrong_low * expected:
        return "disproved", nothing
    if share + blur < config.wrong_low:
        return "disproved", little
    if share - blur > config.wrong_high:
        return "disproved", much
    if share + blur < config.sound_low:
        return "doubtful", little
    if share - blur > config.sound_high:
        return "doubtful", much
    return "proved", None


def _differ(said: float, measured: float, least: float, config: ProofConfig) -> bool:
    low, high = config.sound_low * measured - least, config.sound_high * measured + least
    return not low <= said <= high


def _no_rise(seen: WaterEvidence, config: ProofConfig) -> bool:
    if seen.rise is None or seen.dose_rise is None or seen.dose_rise < config.visible_rise:
        return False
    return seen.rise < config.probe_noise


def _not_fed(seen: FeedEvidence, config: ProofConfig) -> str:
    """Tell by current and scale why no feed fell."""
    if seen.left_g is not None and seen.left_g < config.scale_g:
        return "hopper-empty"
    if seen.current_a is None or seen.current_a <= 0.0:
        return "not-fed"
    high, low = config.jam_a, config.light_a
    if seen.usual_a is not None:
        high, low = config.jam_share * seen.usual_a, config.light_share * seen.usual_a
    return "jam" if seen.current_a >= high else "hopper-empty" if seen.current_a <= low else "not-fed"


def _mean_flow(seen: WaterEvidence) -> float | None:
    if seen.flow_l_min is not None:
        return seen.flow_l_min
    return seen.total_l / seen.seconds * 60.0 if seen.total_l is not None and seen.seconds else None


def _numbers(**values: float | None) -> dict[str, float]:
    return {name: float(f"{value:.6g}") for name, value in values.items() if value is not None}
