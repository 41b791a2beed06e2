# SPDX-License-Identifier: Apache-2.0
"""What `/metrics` shows: the counters of the parts, read when asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final

import psutil
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from control.alarms_keeper import AlarmKeeper
from control.controller import Controller
from gateway.link import Link
from ingest.journal import SqliteJournal
from ingest.pipeline import Ingest
from ingest.quarantine import Quarantine
from ingest.sequences import Sequences
from tirta import __version__

__all__ = ["Measured", "make_registry"]

_INGEST: Final = {
    "messages": "Telemetry messages made durable.",
    "bursts": "Bursts made durable; one commit each.",
    "rows": "Records taken, duplicates left out.",
    "rejected": "Records sent to quarantine.",
    "journal_failures": "Times the journal did not take a burst.",
}


_CONTROL_GAUGES: Final = ("tick_ms", "zones")  # of the last tick; the others only rise


@dataclass(frozen=True, slots=True)
class Measured:
    """The parts whose counters are shown."""

    ingest: Ingest
    controller: Controller
    ingest_link: Link
    control_link: Link
    quarantine: Quarantine
    journal: SqliteJournal
    sequences: Sequences
    alarms: AlarmKeeper


class _Reader(Collector):
    def __init__(self, measured: Measured) -> None:
        self._measured = measured
        self._process = psutil.Process()

    def collect(self) -> Iterator[Metric]:
        measured = self._measured
        build = GaugeMetricFamily("tirta_build_info", "Version of Tirta.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield GaugeMetricFamily("tirta_resident_bytes", "Memory in use.", value=self._process.memory_info().rss)
        for name, text in _INGEST.items():
            yield CounterMetricFamily(f"tirta_ingest_{name}", text, value=getattr(measured.ingest.counters, name))
        text = "Records that came a second time and were left out."
        yield CounterMetricFamily("tirta_ingest_duplicates", text, value=measured.sequences.duplicates)
        gaps = measured.sequences.totals()
        yield GaugeMetricFamily("tirta_ingest_gaps", "Ranges of numbers that may still come.", value=gaps.gaps)
        yield GaugeMetricFamily("tirta_ingest_missing", "Records in them.", value=gaps.missing)
        yield GaugeMetricFamily("tirta_ingest_lost", "Records that will not come.", value=gaps.lost)
        text = "Times the broker may have lost what it had acknowledged."
        yield CounterMetricFamily("tirta_ingest_sessions_lost", text, value=measured.ingest.sessions.count)
        bounds = measured.journal.bounds(0)
        yield GaugeMetricFamily("tirta_journal_bytes", "Size of what the journal holds.", value=bounds.size)
        yield GaugeMetricFamily("tirta_journal_end", "The journal's next position.", value=bounds.end)
        totals = measured.quarantine.totals()
        yield CounterMetricFamily("tirta_quarantine_kept", "Records ever quarantined.", value=totals["kept"])
        yield CounterMetricFamily("tirta_quarantine_dropped", "Oldest records given up.", value=totals["dropped"])
        yield CounterMetricFamily("tirta_quarantine_replayed", "Records replayed and taken.", value=totals["replayed"])
        yield CounterMetricFamily("tirta_quarantine_discarded", "Records thrown away.", value=totals["discarded"])
        yield GaugeMetricFamily("tirta_quarantine_bytes", "Size of the quarantine.", value=totals["bytes"])
        alarm = GaugeMetricFamily("tirta_alarm", "Alarms that are open.", labels=["code"])
        for code, count in measured.alarms.counts.items():
            alarm.add_metric([code], count)
        yield alarm
        yield from self._stores()
        yield from self._links()
        for item in fields(measured.controller.counters):
            family = GaugeMetricFamily if item.name in _CONTROL_GAUGES else CounterMetricFamily
            value = getattr(measured.controller.counters, item.name)
            yield family(f"tirta_control_{item.name}", f"Controller: {item.name.replace('_', ' ')}.", value=value)

    def _stores(self) -> Iterator[Metric]:
        rows = CounterMetricFamily("tirta_store_rows", "Rows written to a store.", labels=["store"])
        retries = CounterMetricFamily("tirta_store_retries", "Attempts at a store that failed.", labels=["store"])
        refused = CounterMetricFamily("tirta_store_refused_rows", "Rows a store can never take.", labels=["store"])
        expired = CounterMetricFamily("tirta_store_expired_rows", "Rows that waited until they were too old.", labels=["store"])
        holes = GaugeMetricFamily("tirta_store_hole_positions", "Positions a store never got.", labels=["store"])
        missed = GaugeMetricFamily("tirta_store_hole_records", "Records in them, as far as counted.", labels=["store"])
        behind = GaugeMetricFamily("tirta_store_behind", "Positions of the journal a store has yet to read.", labels=["store"])
        end = self._measured.journal.bounds(0).end
        for writer in self._measured.ingest.writers:
            rows.add_metric([writer.name], writer.rows)
            retries.add_metric([writer.name], writer.retries)
            refused.add_metric([writer.name], writer.rejected)
            expired.add_metric([writer.name], writer.expired)
            holes.add_metric([writer.name], sum(hole.positions for hole in writer.holes))
            missed.add_metric([writer.name], sum(hole.records or 0 for hole in writer.holes))
            behind.add_metric([writer.name], max(end - 1 - writer.cursor, 0))
        yield from (rows, retries, refused, expired, holes, missed, behind)

    def _links(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("tirta_link_connected", "Whether a link to the broker is up.", labels=["link"])
        links = {"ingest": self._measured.ingest_link, "control": self._measured.control_link}
        for name, link in links.items():
            up.add_metric([name], float(link.connected))
        yield up
        for item in ("received", "acks_sent", "acks_dropped", "reconnects", "sessions_lost", "malformed", "published"):
            family = CounterMetricFamily(f"tirta_link_{item}", f"Links to the broker: {item}.", labels=["link"])
            for name, link in links.items():
                family.add_metric([name], getattr(link.counters, item))
            yield family


def make_registry(measured: Measured) -> CollectorRegistry:
    """Return a registry that reads the parts each time it is asked."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Reader(measured))
    return registry
