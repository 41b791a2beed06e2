# SPDX-License-Identifier: Apache-2.0
"""InfluxDB's write and query API through influxdb-client, with its failures told apart by remedy.

400, 413, 422                      StoreRejected       the lines or the question
401, 403, 404, certificates        StoreRefused        token, organisation, bucket, address; the text names the setting
429, 5xx, timeouts, resets         StoreUnavailable    later
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.bucket_retention_rules import BucketRetentionRules
from influxdb_client.domain.dialect import Dialect
from influxdb_client.domain.patch_bucket_request import PatchBucketRequest
from influxdb_client.domain.patch_retention_rule import PatchRetentionRule
from influxdb_client.domain.post_bucket_request import PostBucketRequest
from influxdb_client.rest import ApiException
from influxdb_client.service.buckets_service import BucketsService
from urllib3.exceptions import HTTPError, ReadTimeoutError

from ingest.store.errors import StoreError, StoreRefused, StoreRejected, StoreUnavailable
from ingest.store.influx_flux import Parameters

__all__ = ["Bucket", "InfluxClient"]

_REJECTED: Final = frozenset({400, 413, 422})
_UNAVAILABLE: Final = frozenset({408, 429})
_GATEWAY: Final = frozenset({502, 504})  # what a proxy says of a server behind it that is away
_UNKNOWN_ORG: Final = "failed to decode request body"  # what the query API answers to it, with a 400
_REMEDIES: Final = {
    401: "The token is wrong or may not do this: correct TIRTA_INFLUX_TOKEN (docs/tiers.md says what it needs) and restart",
    403: "The token may not do this: correct TIRTA_INFLUX_TOKEN (docs/tiers.md says what it needs) and restart",
    404: "Correct TIRTA_INFLUX_ORG, TIRTA_INFLUX_BUCKET or TIRTA_INFLUX_URL and restart",
}
_NOT_INFLUXDB: Final = "Is this an InfluxDB 2.x? Look at TIRTA_INFLUX_URL"
_REASON_MAX: Final = 500  # characters of an answer that are kept


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket as the server tells it; a retention of 0 keeps for ever. [s]"""

    id: str
    name: str
    org_id: str
    retention_s: int


class InfluxClient:
    """One server, organisation and bucket; usable from several threads."""

    def __init__(self, url: str, org: str, bucket: str, token: str, timeout_s: float) -> None:
        self._org = org
        self._bucket = bucket
        self._client = InfluxDBClient(url, token, org=org, timeout=int(timeout_s * 1000), retries=False)
        self._write_api = self._client.write_api(write_options=SYNCHRONOUS)
        self._query_api = self._client.query_api()
        self._buckets = BucketsService(self._client.api_client)  # type: ignore[no-untyped-call]

    def write(self, body: bytes, bucket: str | None = None) -> None:
        """Write lines, into the client's own bucket if no other is named.

        After a `StoreRejected` some of them may have been kept.
        """
        with _told_apart():
            self._write_api.write(bucket=bucket or self._bucket, record=body)

    def bucket(self, name: str) -> Bucket | None:
        """Return a bucket by its name, None if it is not there or the token may not see it."""
        with _told_apart():
            found = self._buckets.get_buckets(name=name).buckets  # type: ignore[no-untyped-call]
        return next((_bucket(each) for each in found or () if each.name == name), None)

    def make_bucket(self, name: str, org_id: str, retention_s: int) -> Bucket:
        """Make a bucket that keeps for so long. [s]"""
        rule = BucketRetentionRules(type="expire", every_seconds=retention_s)  # type: ignore[no-untyped-call]
        request = PostBucketRequest(org_id=org_id, name=name, retention_rules=[rule])  # type: ignore[no-untyped-call]
        with _told_apart():
            return _bucket(self._buckets.post_buckets(request))  # type: ignore[no-untyped-call]

    def set_retention(self, bucket: Bucket, retention_s: int) -> None:
        """Let a bucket keep for so long. [s]"""
        rule = PatchRetentionRule(type="expire", every_seconds=retention_s)  # type: ignore[no-untyped-call]
        request = PatchBucketRequest(retention_rules=[rule])  # type: ignore[no-untyped-call]
        with _told_apart():
            self._buckets.patch_buckets_id(bucket.id, request)  # type: ignore[no-untyped-call]

    def ask(self, question: str, parameters: Parameters) -> dict[str, list[str]]:
        """Return the columns of a question's one table; no columns if nothing was found."""
        dialect = Dialect(  # type: ignore[no-untyped-call]
            header=True, delimiter=",", annotations=[], comment_prefix="#", date_time_format="RFC3339"
        )
        with _told_apart():
            rows = [row for row in self._query_api.query_csv(question, dialect=dialect, params=parameters) if row]
        if not rows:
            return {}
        columns = dict(zip(rows[0], map(list, zip(*rows[1:], strict=True)), strict=False))
        if "error" in columns:  # the answer had begun before the question failed
            raise StoreUnavailable("; ".join(columns["error"])[:_REASON_MAX])
        return columns

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()  # type: ignore[no-untyped-call]


def _bucket(told: Any) -> Bucket:
    rules = told.retention_rules or ()
    return Bucket(told.id, told.name, told.org_id, next((int(rule.every_seconds) for rule in rules), 0))


@contextmanager
def _told_apart() -> Iterator[None]:
    try:
        yield
    except ApiException as exc:
        raise _meaning(exc) from exc
    except (HTTPError, OSError, csv.Error) as exc:
        # A slow answer is no sign of death: going back then would never end with a store that is merely overloaded.
        silent = not isinstance(exc, (ReadTimeoutError, csv.Error))
        raise StoreUnavailable(f"{type(exc).__name__}: {exc}"[:_REASON_MAX], silent=silent) from exc


def _meaning(exc: ApiException) -> StoreError:
    status = int(exc.status or 0)
    said = _said(exc.body)
    detail = f"{status}: {said or exc.reason or ''}"[:_REASON_MAX]
    if status == 413 or (status in _REJECTED and said is not None and not said.startswith(_UNKNOWN_ORG)):
        return StoreRejected(detail)
    if status in _UNAVAILABLE or status >= 500:
        return StoreUnavailable(detail, _retry_after_s(exc), silent=status in _GATEWAY)
    # Also a 400 that InfluxDB did not write: something else answers at this address.
    remedy = _REMEDIES[404] if said is not None and said.startswith(_UNKNOWN_ORG) else _REMEDIES.get(status, _NOT_INFLUXDB)
    return StoreRefused(f"{detail}. {remedy}.")


def _said(body: str | bytes | None) -> str | None:
    """Return the message of InfluxDB's error body, None if the body is not one."""
    try:
        message = json.loads(body or "")["message"]
    except (ValueError, KeyError, TypeError):
        return None
    return str(message)


def _retry_after_s(exc: ApiException) -> float | None:
    headers: Mapping[str, str] = exc.headers or {}
    value = headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None
