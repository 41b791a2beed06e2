# SPDX-License-Identifier: Apache-2.0
"""Zones with their newest values as they are shown, a whole page at a time.

Invariant: what is built here has the fields of the documented models, in `api.zones`, and is only ever encoded. A page of a
thousand zones is ten thousand values: they are taken column by column, and an instant that many share is written once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from api.instants import format_instants, optional_instant
from api.suspensions import held_by
from control.proofs import ZoneProof
from control.records import Suspension, Zone, ZoneParameters
from gateway import Catalogue
from ingest.latest import LatestState

__all__ = ["ShownProof", "ShownZone", "shown_zones"]


class _ShownValue(msgspec.Struct, frozen=True, gc=False):
    value: float | bool
    unit: str
    at: str
    age_s: float


class ShownProof(msgspec.Struct, frozen=True, gc=False):
    """What proof of effect says of a zone; the fields mean what they do in `api.zones.ZoneEffect`."""

    disproved: int
    finding: str | None
    act: str | None
    since: str | None
    held: str | None
    leak: str | None
    leak_l_min: float | None


class ShownZone(msgspec.Struct, frozen=True, gc=False):
    """A zone as it is shown; the fields mean what they do in `api.zones.ZoneAnswer`."""

    id: str
    site: str
    device: str
    zone: int
    title: str
    type: str
    parameters: ZoneParameters
    tags: tuple[str, ...]
    version: int
    proof: ShownProof | None
    held_by: Sequence[Mapping[str, Any]]
    latest: dict[str, Any]


def shown_zones(
    zones: Sequence[Zone],
    held: Mapping[str, Sequence[Suspension]],
    latest: LatestState,
    catalogue: Catalogue,
    now_ms: int,
    wanted: Sequence[str] | None = None,
    proofs: Mapping[str, ZoneProof] | None = None,
) -> list[ShownZone]:
    """Return zones as they are shown; of the quantities only those wanted, in that order, or all.

    Parameters
    ----------
    held : mapping
        What people put off, by zone.
    now_ms : int
        What ages are counted to. [ms since the Unix epoch]
    proofs : mapping or None
        What proof of effect says of zones, of those for which it has something to say.
    """
    standing = proofs or {}
    names = list(catalogue.quantities if wanted is None else wanted)
    values, ts_ms = latest.table([(zone.site, zone.device, zone.number) for zone in zones], names)
    found = _newest(names, values, ts_ms, catalogue, now_ms)
    return [
        ShownZone(
            zone.key,
            zone.site,
            zone.device,
            zone.number,
            zone.title,
            zone.type,
            zone.parameters,
            zone.tags,
            zone.version,
            _shown_proof(standing.get(zone.key)),
            held_by(held, zone.key),
            one,
        )
        for zone, one in zip(zones, found, strict=True)
    ]


def _shown_proof(found: ZoneProof | None) -> ShownProof | None:
    if found is None:
        return None
    return ShownProof(
        found.disproved,
        found.finding,
        found.act_id,
        optional_instant(found.since_ms),
        optional_instant(found.held_ms),
        optional_instant(found.leak_ms),
        found.leak_l_min,
    )


def _newest(
    names: Sequence[str], values: NDArray[np.float64], ts_ms: NDArray[np.int64], catalogue: Catalogue, now_ms: int
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{} for _ in values]
    measured = ts_ms >= 0
    instants = format_instants(set(ts_ms[measured].tolist()))
    ages_s = (now_ms - ts_ms) / 1000
    for column in np.flatnonzero(measured.any(axis=0)).tolist():
        rows = np.flatnonzero(measured[:, column])
        quantity = catalogue.quantities[names[column]]
        taken = values[rows, column]
        shown = map(
            _ShownValue,
            (taken != 0.0 if quantity.boolean else taken).tolist(),
            repeat(quantity.unit),
            map(instants.__getitem__, ts_ms[rows, column].tolist()),
            ages_s[rows, column].tolist(),
        )
        for row, one in zip(rows.tolist(), shown, strict=True):
            found[row][quantity.name] = one
    return found
