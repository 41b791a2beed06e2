# SPDX-License-Identifier: Apache-2.0
"""How much memory a whole Tirta takes with 1,000 devices that send once a minute, over an hour at 60 times the pace.

    python -m benchmarks.memory --json [--devices N] [--minutes N]

Prints the resident memory of Tirta's process after the first five simulated minutes and at the end (broker and devices
left out), and how many records are stored. As in use, its metrics are asked for once a minute from the beginning on: the
first answer of all brings in 15 MB of code, which is no growth.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.fleet import publishing
from benchmarks.served import Served, serve_tirta

__all__ = ["main"]

_SPEED = 60.0
_WARM_MINUTES = 5
_SETTLE_S = 60.0
_ROWS = "tirta_store_rows_total"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON line only")
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--minutes", type=int, default=60, help="simulated; each takes a second")
    options = parser.parse_args()
    result = _measure(options.devices, options.minutes, quiet=options.json)
    print(json.dumps(result) if options.json else "\n".join(f"{name:>14} {value}" for name, value in result.items()))


def _measure(devices: int, minutes: int, *, quiet: bool) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="tirta-bench-") as folder,
        serve_tirta(Path(folder), devices=devices, zones=1, speed=_SPEED) as served,
    ):
        start_mb = 0.0
        with publishing(served.mqtt_port, served.users, minutes=minutes, minute_s=60.0 / _SPEED) as fleet:
            assert fleet.stdout is not None
            for line in fleet.stdout:
                if not (minute := int(line)):
                    continue
                served.metric(_ROWS)  # as whoever watches the service does
                if minute == min(_WARM_MINUTES, minutes):
                    start_mb = _rss_mb(served)
                if not quiet and minute % 5 == 0:
                    print(f"minute {minute}: {_rss_mb(served):.0f} MB", file=sys.stderr)
        until = time.monotonic() + _SETTLE_S
        while (stored := served.metric(_ROWS)) < devices * minutes and time.monotonic() < until:
            time.sleep(0.5)
        end_mb = _rss_mb(served)
    growth = round((end_mb - start_mb) / start_mb, 3) if start_mb else 0.0
    return {
        "devices": devices,
        "minutes": minutes,
        "rss_start_mb": round(start_mb),
        "rss_end_mb": round(end_mb),
        "growth": growth,
        "stored": stored,
    }


def _rss_mb(served: Served) -> float:
    return float(served.process.memory_info().rss) / 2**20


if __name__ == "__main__":
    main()
