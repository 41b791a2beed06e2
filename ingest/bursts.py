# SPDX-License-Identifier: Apache-2.0
"""A burst of messages as one blob, the journal's unit.

Columns, not records, so that packing and unpacking cost a few calls a burst and not a few calls a message:

    offset  size        content
    0       2           magic "TB"
    2       1           version, 1
    3       1           0
    4       4           n, number of messages                              uint32
    8       8           time of receipt [ms since the Unix epoch]          int64
    16      4           length of the topics in bytes                      uint32
    20      4           CRC-32 of all that stands before and follows      uint32
    24      4 n         length of each payload                             uint32[n]
    ...     topics      the topics in UTF-8, joined by U+0000 (which MQTT forbids in a topic)
    ...     payloads    the payloads, one after another

All numbers little-endian.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

import numpy as np

from ingest.errors import Unavailable

__all__ = ["FORMAT_VERSION", "StoredBurst", "pack_burst", "unpack_burst"]

FORMAT_VERSION: Final = 1
_HEAD = struct.Struct("<2sBBIqI")
_CHECKSUM = struct.Struct("<I")
_START: Final = _HEAD.size + _CHECKSUM.size
_MAGIC: Final = b"TB"


@dataclass(frozen=True, slots=True)
class StoredBurst:
    """Messages that came in together, in the order of their arrival.

    Attributes
    ----------
    received_ms : int
        Time of receipt. [ms since the Unix epoch, UTC]
    topics, payloads : sequences of the same length
    """

    received_ms: int
    topics: Sequence[str]
    payloads: Sequence[bytes]


def pack_burst(burst: StoredBurst) -> bytes:
    """Return the burst as one blob."""
    topics = "\0".join(burst.topics).encode()
    count = len(burst.payloads)
    lengths = np.fromiter(map(len, burst.payloads), np.dtype("<u4"), count).tobytes()
    body = b"".join([lengths, topics, *burst.payloads])
    head = _HEAD.pack(_MAGIC, FORMAT_VERSION, 0, count, burst.received_ms, len(topics))
    return head + _CHECKSUM.pack(zlib.crc32(body, zlib.crc32(head))) + body


def unpack_burst(blob: bytes) -> StoredBurst:
    """Return the burst of a blob.

    Raises
    ------
    Unavailable
        The blob is not whole: the volume gave back something else than was written.
    """
    if len(blob) < _START:
        raise Unavailable("a burst in the journal is cut off")
    magic, version, _, count, received_ms, topics_size = _HEAD.unpack_from(blob)
    (checksum,) = _CHECKSUM.unpack_from(blob, _HEAD.size)
    if magic != _MAGIC or version != FORMAT_VERSION:
        raise Unavailable(f"a burst in the journal has format {magic!r} version {version}, not TB version {FORMAT_VERSION}")
    body = memoryview(blob)[_START:]
    if zlib.crc32(body, zlib.crc32(blob[: _HEAD.size])) != checksum:
        raise Unavailable("a burst in the journal fails its checksum")
    lengths = np.frombuffer(body, "<u4", count).tolist()
    start = 4 * count + topics_size
    topics = bytes(body[4 * count : start]).decode().split("\0") if count else []
    ends = list(accumulate(lengths, initial=start))
    raw = bytes(body)
    return StoredBurst(received_ms, topics, [raw[a:b] for a, b in pairwise(ends)])
