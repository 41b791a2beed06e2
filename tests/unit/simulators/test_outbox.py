# SPDX-License-Identifier: Apache-2.0
"""The outbox holds records until they are stored, and hands them out in payloads the contract allows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cbor2
import pytest

from gateway.messages import Position
from gateway.payloads import MAX_PAYLOAD, decode_object
from simulators.errors import MemoryInUse
from simulators.memory import Memory, open_storage
from simulators.outbox import Outbox


def filled(count: int, *, boot: int = 1, size: int = 10, **options: Any) -> Outbox:
    outbox = Outbox(Memory(open_storage(None), "pilot:garden"), **options)
    for seq in range(count):
        record = {"boot": boot, "seq": seq, "fill": "x" * size}
        outbox.put(Position(boot, seq), cbor2.dumps(record) if options.get("cbor") else json.dumps(record).encode())
    return outbox


def batches(outbox: Outbox) -> list[list[Any]]:
    found = []
    while (batch := outbox.next_batch()) is not None:
        assert len(batch.payload) <= MAX_PAYLOAD
        value = decode_object(batch.payload)
        records = value if isinstance(value, list) else [value]
        assert [(record["boot"], record["seq"]) for record in records] == [(one.boot, one.seq) for one in batch.positions]
        found.append(records)
    return found


@pytest.mark.parametrize("cbor", [False, True])
def test_next_batch_of_many_records_fills_payloads_of_500(cbor: bool) -> None:
    assert [len(records) for records in batches(filled(1201, cbor=cbor))] == [500, 500, 201]


def test_next_batch_of_large_records_keeps_to_64_kib() -> None:
    sizes = [len(records) for records in batches(filled(100, size=2000))]
    assert sum(sizes) == 100
    assert max(sizes) == 32


def test_next_batch_of_one_record_is_the_record_itself() -> None:
    batch = filled(1).next_batch()
    assert batch is not None
    assert json.loads(batch.payload)["seq"] == 0


def test_forget_drops_only_that_boot_up_to_that_record() -> None:
    outbox = filled(5)
    outbox.put(Position(2, 0), b"{}")
    assert outbox.forget(2, 0) == 1
    assert outbox.forget(1, 2) == 3
    assert outbox.forget(1, 2) == 0
    assert outbox.oldest == Position(1, 3)
    assert len(outbox) == 2


def test_put_into_a_full_box_drops_the_oldest() -> None:
    outbox = filled(60, capacity=50)
    assert 45 <= len(outbox) <= 50
    assert outbox.oldest == Position(1, 60 - len(outbox))


def test_rewind_hands_out_again_what_is_not_stored() -> None:
    outbox = filled(3)
    assert outbox.next_batch() is not None
    outbox.forget(1, 0)
    assert outbox.next_batch() is None
    outbox.rewind()
    assert [len(records) for records in batches(outbox)] == [2]


def test_open_storage_again_finds_the_records_of_before(tmp_path: Path) -> None:
    path = tmp_path / "devices.sqlite"
    storage = open_storage(path)
    Outbox(Memory(storage, "pilot:garden")).put(Position(1, 0), b"{}")
    with pytest.raises(MemoryInUse):
        open_storage(path)
    storage.close()
    assert len(Outbox(Memory(open_storage(path), "pilot:garden"))) == 1


def test_two_devices_on_one_storage_do_not_see_each_other() -> None:
    storage = open_storage(None)
    garden, pond = (Outbox(Memory(storage, name)) for name in ("pilot:garden", "pilot:pond"))
    garden.put(Position(1, 0), b"{}")
    assert (len(pond), pond.oldest, pond.next_batch()) == (0, None, None)
    assert pond.forget(1, 0) == 0
    assert len(garden) == 1
