# SPDX-License-Identifier: Apache-2.0
"""From the readings around an act to the evidence of its effect.

Pure but for asking the series store. Invariant: a reading counts for an act only where no other act of the zone can have made
it: from the end of the one before to the beginning of the one after. Ranges are half-open, [start, end).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from control.proof import FeedEvidence, ProofConfig, WaterEvidence
from control.proofs import Unproved
from control.records import Act, Zone
from ingest.store.protocol import Series, SeriesQuery

__all__ = ["SeriesReader", "Traces", "feed_evidence", "read_traces", "second_look_ms", "water_evidence"]

BEFORE_MS: Final = 900_000  # a reading so long before an act still tells how things stood [ms]
PROBE_MS: Final = 1_800_000  # readings of the probe are averaged over so long before and after [ms]
SOAK_S: Final = 1_800.0  # where no schedule says how long water soaks [s]
TIGHT_MS: Final = 60_000  # an act's time is known where there is so much room at most [ms]
WET: Final = 0.35  # soil moister than this drains what it is given [m3 m-3]
RAIN_MM: Final = 1.0  # more rain than this tells nothing of the watering [mm]
FLOWS: Final = 0.02  # share of the rated flow that is one [1]
LEAST_FLOW: Final = 0.1  # and where it is not known [L min-1]
ROWS: Final = 20_000  # of one act: six hours of one a second

WATER: Final = ("flow", "litres_total", "valve_open", "soil_moisture", "rain")
FEED: Final = ("hopper_mass", "feed_dispensed_total", "motor_current", "water_temperature", "dissolved_oxygen")

Numbers = NDArray[np.float64]


class SeriesReader(Protocol):
    """Gives measurements of one zone back; each series store does."""

    def series(self, query: SeriesQuery) -> Series:
        """Return rows of one zone, in order of time."""


@dataclass(frozen=True, slots=True)
class Traces:
    """The readings around one act.

    Attributes
    ----------
    start_ms, end_ms : int
        Between them the act was, as far as is known.
    tight : bool
        Whether it filled that time.
    heard : bool
        Whether anything was measured after it.
    """

    series: Series
    start_ms: int
    end_ms: int
    tight: bool
    heard: bool

    def column(self, name: str) -> tuple[NDArray[np.int64], Numbers]:
        """Return times and values of a quantity, where it was measured."""
        values = self.series.values[name]
        there = ~np.isnan(values)
        return self.series.ts_ms[there], values[there]

    def rise(self, name: str) -> float | None:
        """Return by how much a running total rose over the act; a fall is taken for a meter that began again at 0."""
        ts, values = self.column(name)
        first, last = self._around(ts)
        if first is None or last is None:
            return None
        steps = np.diff(values[first : last + 1])
        return float(np.where(steps < 0.0, values[first + 1 : last + 1], steps).sum())

    def level(self, name: str) -> tuple[float, float] | None:
        """Return a level before and after the act."""
        ts, values = self.column(name)
        first, last = self._around(ts)
        return None if first is None or last is None else (float(values[first]), float(values[last]))

    def within(self, name: str) -> tuple[NDArray[np.int64], Numbers]:
        """Return times and values of a quantity while the act was."""
        ts, values = self.column(name)
        inside = (ts >= self.start_ms) & (ts < self.end_ms)
        return ts[inside], values[inside]

    def mean(self, name: str, start_ms: int, end_ms: int) -> float | None:
        """Return the mean of a quantity in [start, end)."""
        ts, values = self.column(name)
        inside = (ts >= start_ms) & (ts < end_ms)
        return float(values[inside].mean()) if inside.any() else None

    def _around(self, ts: NDArray[np.int64]) -> tuple[int | None, int | None]:
        first = int(np.searchsorted(ts, self.start_ms, side="right")) - 1
        last = int(np.searchsorted(ts, self.end_ms, side="left"))
        return (first if first >= 0 else None), (last if last < len(ts) else None)


def read_traces(unproved: Unproved, readings: SeriesReader, now_ms: int) -> Traces:
    """Read what was measured around an act; raises what the store raises."""
    act, zone = unproved.act, unproved.zone
    start_ms, end_ms, tight = _span(act)
    from_ms = start_ms - max(BEFORE_MS, PROBE_MS)
    upto_ms = max(min(now_ms, end_ms + _soak_ms(unproved) + 2 * PROBE_MS), end_ms) + 1
    series = readings.series(SeriesQuery(zone.site, zone.device, zone.number, _quantities(act), from_ms, upto_ms, limit=ROWS))
    bounded = _bounded(series, unproved.after_ms, unproved.before_ms)
    heard = bool(len(series.ts_ms)) and int(series.ts_ms[-1]) >= end_ms
    return Traces(bounded, start_ms, end_ms, tight, heard)


def water_evidence(unproved: Unproved, traces: Traces) -> WaterEvidence:
    """Return what is known of a watering."""
    act, parameters = unproved.act, unproved.zone.parameters
    seconds = act.result_seconds if act.result_seconds is not None else _lasted_s(act, traces)
    ts, flow = _open_flow(traces, parameters.flow_l_min)
    settled = flow[ts >= traces.start_ms + parameters.flow_within_s * 1000] if traces.tight else flow
    mean = settled if len(settled) else flow
    after_s, dry_s = _onset(traces, act, ts, flow, parameters.flow_l_min)
    seen = WaterEvidence(
        state=act.state,
        word=act.reason,
        asked_l=act.litres,
        result_l=act.result_litres,
        seconds=seconds,
        rated_l_min=parameters.flow_l_min,
        total_l=traces.rise("litres_total"),
        flow_l_min=float(mean.mean()) if len(mean) else None,
        flow_after_s=after_s,
        dry_until_s=dry_s,
        flow_within_s=float(parameters.flow_within_s),
        heard=traces.heard,
    )
    return replace(seen, dose_rise=_dose_rise(seen, unproved.zone), rise=_probe_rise(unproved, traces))


def feed_evidence(unproved: Unproved, traces: Traces) -> FeedEvidence:
    """Return what is known of a meal."""
    act, mass = unproved.act, traces.level("hopper_mass")
    _, current = traces.within("motor_current")
    return FeedEvidence(
        state=act.state,
        word=act.reason,
        asked_g=act.grams,
        result_g=act.result_grams,
        fell_g=None if mass is None else mass[0] - mass[1],
        left_g=None if mass is None else mass[1],
        counted_g=traces.rise("feed_dispensed_total"),
        current_a=float(current.max()) if len(current) else None,
        usual_a=unproved.usual_a,
        heard=traces.heard,
    )


def second_look_ms(unproved: Unproved, seen: WaterEvidence, traces: Traces, config: ProofConfig) -> int | None:
    """Return when the soil can be asked what it got; None where it cannot tell."""
    before = traces.mean("soil_moisture", traces.start_ms - PROBE_MS, traces.start_ms + 1)
    if before is None or seen.dose_rise is None or seen.dose_rise < config.visible_rise or before + seen.dose_rise > WET:
        return None
    return traces.end_ms + _soak_ms(unproved) + PROBE_MS


def _quantities(act: Act) -> tuple[str, ...]:
    return WATER if act.action == "irrigate" else FEED


def _span(act: Act) -> tuple[int, int, bool]:
    """Return between which instants an act was, and whether it filled that time."""
    assert act.ended_ms is not None
    length_ms = None if act.result_seconds is None else round(act.result_seconds * 1000)
    begun_ms = act.begun_ms if act.begun_ms is not None and act.begun_ms < act.ended_ms else None
    if begun_ms is None and act.origin == "device" and length_ms is not None:
        begun_ms = act.ended_ms - length_ms  # what was done at the board is told at its end
    # Without its beginning it lies anywhere since it was issued, as when only the ledger in a status told of its end.
    start_ms = min(act.issued_ms, act.ended_ms) if begun_ms is None else begun_ms
    tight = begun_ms is not None and (length_ms is None or act.ended_ms - start_ms <= length_ms + TIGHT_MS)
    return start_ms, act.ended_ms, tight


def _lasted_s(act: Act, traces: Traces) -> float | None:
    if act.state == "indeterminate":
        return None
    return (traces.end_ms - traces.start_ms) / 1000.0 if traces.tight else act.seconds


def _bounded(series: Series, after_ms: int | None, before_ms: int | None) -> Series:
    """Leave out readings of the time of other acts."""
    own = np.ones(len(series.ts_ms), np.bool_)
    if after_ms is not None:
        own &= series.ts_ms >= after_ms
    if before_ms is not None:
        own &= series.ts_ms <= before_ms
    return replace(series, ts_ms=series.ts_ms[own], values={name: column[own] for name, column in series.values.items()})


def _open_flow(traces: Traces, rated: float | None) -> tuple[NDArray[np.int64], Numbers]:
    """Return the flow read while the valve was open."""
    ts, flow = traces.series.ts_ms, traces.series.values["flow"]
    valve = traces.series.values["valve_open"]
    inside = (ts >= traces.start_ms) & (ts < traces.end_ms) & ~np.isnan(flow)
    unsaid = np.isnan(valve) if traces.tight else np.isnan(valve) & (flow >= _least(rated))
    inside &= (valve > 0.0) | unsaid
    return ts[inside], flow[inside]


def _onset(
    traces: Traces, act: Act, ts: NDArray[np.int64], flow: Numbers, rated: float | None
) -> tuple[float | None, float | None]:
    """Return when flow was first read since the opening, and until when before that there was none. [s]"""
    if not traces.tight or act.begun_ms is None or not len(ts):
        return None, None
    since_s = (ts - traces.start_ms) / 1000.0
    flowing = flow >= _least(rated)
    if not flowing.any():
        return None, float(since_s[-1])
    first = int(np.argmax(flowing))
    return float(since_s[first]), float(since_s[first - 1]) if first else None


def _least(rated: float | None) -> float:
    return LEAST_FLOW if rated is None else max(FLOWS * rated, LEAST_FLOW)


def _dose_rise(seen: WaterEvidence, zone: Zone) -> float | None:
    """Return by how much the dose makes the root zone wetter. [m3 m-3]"""
    litres = next((value for value in (seen.measured_l, seen.result_l, seen.asked_l) if value is not None), None)
    area, depth = zone.parameters.area_m2, zone.parameters.root_depth_m
    return None if litres is None or area is None or depth is None else litres / 1000.0 / (area * depth)


def _probe_rise(unproved: Unproved, traces: Traces) -> float | None:
    """Return by how much the probe reads wetter once the water has soaked; None before that, and where it rained. [m3 m-3]"""
    soaked_ms = traces.end_ms + _soak_ms(unproved)
    before = traces.mean("soil_moisture", traces.start_ms - PROBE_MS, traces.start_ms + 1)
    after = traces.mean("soil_moisture", soaked_ms, soaked_ms + PROBE_MS)
    ts, rain = traces.column("rain")
    if before is None or after is None or math.fsum(rain[ts > traces.start_ms]) > RAIN_MM:
        return None
    return after - before


def _soak_ms(unproved: Unproved) -> int:
    return round((SOAK_S if unproved.soak_s is None else unproved.soak_s) * 1000)
