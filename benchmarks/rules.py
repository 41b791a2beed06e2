# SPDX-License-Identifier: Apache-2.0
"""Time one tick of the irrigation rule and its interlocks, for many zones and for 10,000.

Run: ``python -m benchmarks.rules --zones 1000000 --json``. NumPy's element-wise loops take one core. Beds are drawn at
random from a fixed seed, so that each branch of the rule has its share of rows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np

from rules import Plan, feeding, irrigation

__all__ = ["main"]

NOW_S = 1_763_770_800.0  # [s since the epoch]
SEED = 20_251_122
SMALL_ZONES = 10_000  # a city's worth, beside the large figure


def draw_beds(
    zones: int, random: np.random.Generator
) -> tuple[irrigation.IrrigationState, irrigation.IrrigationParams, irrigation.IrrigationCalendar]:
    """Draw beds of which some are dry, unread, busy, spent or switched off."""

    def share(fraction: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return random.random(zones) < fraction

    soil_moisture = random.uniform(0.10, 0.45, zones)
    soil_moisture[share(0.01)] = np.nan
    state = irrigation.IrrigationState(
        soil_moisture=soil_moisture,
        age_s=random.exponential(300.0, zones),
        litres_today=random.uniform(0.0, 450.0, zones),
        busy=share(0.05),
        unsettled=share(0.01),
        online=share(0.97),
        since_last_s=np.where(share(0.3), np.inf, random.exponential(7_200.0, zones)),
        latched=share(0.2),
        held=np.zeros(zones, dtype=np.int64),
    )
    params = irrigation.IrrigationParams(
        enabled=share(0.98),
        low=random.uniform(0.18, 0.24, zones),
        high=random.uniform(0.28, 0.36, zones),
        root_depth=random.uniform(0.1, 0.6, zones),
        area=random.uniform(0.5, 20.0, zones),
        flow=random.uniform(2.0, 30.0, zones),
        max_seconds=np.full(zones, 900.0),
        min_seconds=np.full(zones, 20.0),
        litres_day=np.full(zones, 400.0),
        soak_s=np.full(zones, 900.0),
        stale_s=np.full(zones, 1_800.0),
    )
    return state, params, irrigation.IrrigationCalendar(allowed=share(0.6))


def draw_ponds(
    ponds: int, random: np.random.Generator
) -> tuple[feeding.FeedingState, feeding.FeedingParams, feeding.FeedingCalendar]:
    """Draw ponds, all at a meal, of which some have little oxygen or none known."""
    flag = random.random(ponds)
    state = feeding.FeedingState(
        dissolved_oxygen=random.uniform(1.0, 9.0, ponds),
        age_s=random.exponential(600.0, ponds),
        grams_today=random.uniform(0.0, 2_200.0, ponds),
        busy=flag < 0.05,
        unsettled=flag > 0.99,
        online=flag < 0.97,
        since_last_s=random.exponential(14_400.0, ponds),
        held=np.zeros(ponds, dtype=np.int64),
    )
    params = feeding.FeedingParams(
        enabled=flag > 0.02,
        oxygen_stop=np.full(ponds, 3.0),
        oxygen_reduce=np.full(ponds, 5.0),
        grams_day=np.full(ponds, 2_000.0),
        max_meal=np.full(ponds, 600.0),
        min_gap_s=np.full(ponds, 3_600.0),
        stale_s=np.full(ponds, 1_800.0),
        cautious_fraction=np.full(ponds, 0.5),
        grams_per_second=np.full(ponds, 8.0),
        max_seconds=np.full(ponds, 120.0),
    )
    calendar = feeding.FeedingCalendar(
        due=np.ones(ponds, dtype=np.bool_),
        allowed=np.ones(ponds, dtype=np.bool_),
        grams=random.uniform(100.0, 700.0, ponds),
        late_s=random.uniform(0.0, 900.0, ponds),
        grace_s=np.full(ponds, 600.0),
    )
    return state, params, calendar


def median_ms(tick: Callable[[], Plan], rounds: int) -> float:
    """Return the median time of `rounds` ticks after one to warm up. [ms]"""
    tick()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        tick()
        times.append((time.perf_counter() - began) * 1_000.0)
    return statistics.median(times)


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print one line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rules", description=__doc__)
    parser.add_argument("--zones", type=int, default=1_000_000, help="zones in the large tick (1 or more)")
    parser.add_argument("--rounds", type=int, default=9, help="ticks of which the median is taken (1 or more)")
    parser.add_argument("--json", action="store_true", help="print one JSON line")
    chosen = parser.parse_args(arguments)
    if chosen.zones < 1 or chosen.rounds < 1:
        parser.error("--zones and --rounds have to be 1 or more")
    beds = draw_beds(chosen.zones, np.random.default_rng(SEED))
    small = draw_beds(SMALL_ZONES, np.random.default_rng(SEED))
    ponds = draw_ponds(chosen.zones, np.random.default_rng(SEED))
    acting = int(np.count_nonzero(irrigation.evaluate(*beds, NOW_S).act))
    result = {
        "zones": chosen.zones,
        "rounds": chosen.rounds,
        "acting": acting,
        "tick_ms": round(median_ms(lambda: irrigation.evaluate(*beds, NOW_S), chosen.rounds), 3),
        "tick_10k_ms": round(median_ms(lambda: irrigation.evaluate(*small, NOW_S), chosen.rounds), 3),
        "feeding_tick_ms": round(median_ms(lambda: feeding.evaluate(*ponds, NOW_S), chosen.rounds), 3),
    }
    if chosen.json:
        print(json.dumps(result))
    else:
        print("  ".join(f"{name}={value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
