# SPDX-License-Identifier: Apache-2.0
"""The buckets that InfluxDB keeps the tiers in, and how long.

    {bucket}  {bucket}_5m  {bucket}_1h

The token needs to read and write these three and no more, once they are there; a token that may make buckets makes the
two of the tiers by itself. InfluxDB lets go of what is past its age by the wall's clock, whatever the platform's says.
"""

from __future__ import annotations

import logging

from ingest.store.errors import StoreRefused, StoreRejected
from ingest.store.influx_client import Bucket, InfluxClient
from ingest.store.tiers import DAY_MS, TIERS, Retention

__all__ = ["retention_s", "set_retention", "tier_bucket", "with_buckets"]

_LOGGER = logging.getLogger(__name__)
_SLACK_DAYS = 2  # rows are refused this long before InfluxDB lets go of them, so no hour is ever half there


def tier_bucket(bucket: str, tier: str) -> str:
    """Return the name of a tier's bucket."""
    return f"{bucket}_{tier}"


def retention_s(days: int | None) -> int:
    """Return how long a bucket keeps, 0 for ever. [s]"""
    return 0 if days is None else (days + _SLACK_DAYS) * DAY_MS // 1000


def with_buckets(client: InfluxClient, org: str, bucket: str, retention: Retention) -> dict[str, Bucket]:
    """Return all buckets by the names of their tiers, making what is missing of "5m" and "1h".

    Raises
    ------
    StoreRefused
        One is missing and the token may not make it; the message says which commands do.
    """
    raw = client.bucket(bucket)
    if raw is None:
        raise StoreRefused(
            f"bucket {bucket!r} is not there, or the token may not see it (TIRTA_INFLUX_BUCKET, TIRTA_INFLUX_TOKEN). "
            f"Make it: influx bucket create --org {org} --name {bucket}"
        )
    buckets = {"raw": raw}
    for tier in TIERS:
        name, keep_s = tier_bucket(bucket, tier.name), retention_s(retention.days(tier.name))
        found = client.bucket(name)
        if found is None:
            found = _made(client, raw, name, keep_s, org)
        elif found.retention_s != keep_s:
            set_retention(client, found, keep_s)
        buckets[tier.name] = found
    return buckets


def set_retention(client: InfluxClient, bucket: Bucket, keep_s: int) -> None:
    """Let a bucket keep for so long, or say that the token may not. [s]"""
    try:
        client.set_retention(bucket, keep_s)
    except (StoreRefused, StoreRejected) as exc:
        _LOGGER.warning(
            "bucket %s keeps %d s and should keep %d s: %s Run: influx bucket update --id %s --retention %ds",
            bucket.name,
            bucket.retention_s,
            keep_s,
            exc,
            bucket.id,
            keep_s,
            extra={"action": "retention_differs"},
        )


def _made(client: InfluxClient, raw: Bucket, name: str, keep_s: int, org: str) -> Bucket:
    try:
        return client.make_bucket(name, raw.org_id, keep_s)
    except (StoreRefused, StoreRejected) as exc:
        raise StoreRefused(
            f"bucket {name!r} is not there and the token may not make it ({exc.detail}). Make it: influx bucket create "
            f"--org {org} --name {name} --retention {keep_s}s; then a token that may read and write it: influx auth create "
            f"--org {org} with --read-bucket and --write-bucket for each of the three buckets"
        ) from exc
