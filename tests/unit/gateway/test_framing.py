# SPDX-License-Identifier: Apache-2.0
"""Cutting bytes into packets and bursts."""

from __future__ import annotations

import contextlib

import mqtt5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MalformedPacket
from gateway.framing import Burst, Inbox, puback_bytes

QOS = {0: mqtt5.QoS.AT_MOST_ONCE, 1: mqtt5.QoS.AT_LEAST_ONCE}
messages = st.lists(
    st.tuples(
        st.sampled_from(["a", "b/c", "tirta/v1/s/d/telemetry"]), st.binary(max_size=300), st.integers(0, 1), st.booleans()
    ),
    max_size=20,
)

# The codec panics on a topic that is not UTF-8, and leaves the decoding error behind as unraisable.
codec_panics = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def inbox_of(**changes: int) -> Inbox:
    settings = {"connection": 3, "read_bytes": 64, "max_packet_size": 2000, "burst_bytes": 4096, "burst_messages": 100}
    return Inbox(**{**settings, **changes})


def feed(inbox: Inbox, data: bytes, step: int = 1 << 30) -> list[mqtt5.Packet]:
    """Write `data` into the inbox as a socket would, at most `step` bytes a read."""
    control: list[mqtt5.Packet] = []
    while data:
        room = inbox.room()
        count = min(len(room), len(data), step)
        room[:count] = data[:count]
        data = data[count:]
        control += inbox.received(count)
    return control


def publish(topic: str, payload: bytes, qos: int = 1, retain: bool = False, packet_id: int = 1, dup: bool = False) -> bytes:
    packet = mqtt5.PublishPacket(
        topic, payload, qos=QOS[qos], retain=retain, packet_id=packet_id if qos else None, duplicate=dup and qos == 1
    )
    return packet.write()


@given(messages=messages, cuts=st.lists(st.integers(1, 70), min_size=1, max_size=30), dup=st.booleans())
def test_received_of_a_stream_cut_anywhere_gives_the_same_messages(
    messages: list[tuple[str, bytes, int, bool]], cuts: list[int], dup: bool
) -> None:
    pingresp = mqtt5.PingRespPacket().write()
    data = b"".join(
        publish(topic, payload, qos, retain, number + 1, dup) + pingresp
        for number, (topic, payload, qos, retain) in enumerate(messages)
    )
    inbox = inbox_of()
    control: list[mqtt5.Packet] = []
    turn = 0
    while data:
        cut = cuts[turn % len(cuts)]
        control += feed(inbox, data[:cut])
        data, turn = data[cut:], turn + 1
    burst = inbox.take()
    assert len(control) == len(messages)
    if not messages:
        assert burst is None
        return
    assert burst is not None
    assert burst.topics == [topic for topic, *_ in messages]
    assert burst.payloads == [payload for _, payload, *_ in messages]
    wanted = [retain for *_, retain in messages]
    assert burst.retained == (wanted if any(wanted) else None)
    ids = [number + 1 for number, (_, _, qos, _) in enumerate(messages) if qos]
    assert burst.acks == b"".join(mqtt5.PubAckPacket(packet_id).write() for packet_id in ids)
    assert inbox.take() is None


@codec_panics
@given(st.binary(max_size=200))
def test_received_of_any_bytes_parses_waits_or_calls_them_malformed(data: bytes) -> None:
    inbox = inbox_of()
    with contextlib.suppress(MalformedPacket):
        feed(inbox, data, 7)
    assert len(inbox.room()) <= 2000


@pytest.mark.parametrize("packet_ids", [[], [1], [65535, 256, 1], list(range(1, 3000))])
def test_puback_bytes_are_the_codecs_own(packet_ids: list[int]) -> None:
    assert puback_bytes(packet_ids) == b"".join(mqtt5.PubAckPacket(one).write() for one in packet_ids)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x00\x00", "PacketType"),
        (b"\x30\xff\xff\xff\xff\x01", "fixed|four bytes|byte integer"),
        (b"\x30\xff\x7f", "above the limit"),
        (mqtt5.PublishPacket("a", b"x", qos=mqtt5.QoS.EXACTLY_ONCE, packet_id=1).write(), "QoS 2"),
    ],
)
def test_received_of_a_malformed_packet_raises_and_keeps_the_messages_before_it(data: bytes, reason: str) -> None:
    inbox = inbox_of()
    with pytest.raises(MalformedPacket, match=reason):
        feed(inbox, publish("a", b"before") + data)
    assert inbox.take() == Burst(3, ["a"], [b"before"], None, b"\x40\x02\x00\x01")


@codec_panics
def test_received_of_a_topic_that_is_not_utf_8_is_malformed() -> None:
    with pytest.raises(MalformedPacket):
        feed(inbox_of(), b"\x30\x05\x00\x02\xff\xff\x00")


def test_room_grows_for_one_large_packet_and_shrinks_after_it() -> None:
    inbox = inbox_of()
    feed(inbox, publish("a", bytes(1500)), 50)
    assert len(inbox.room()) == 64
    burst = inbox.take()
    assert burst is not None
    assert burst.payloads == [bytes(1500)]


def test_received_of_a_large_packet_parses_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    read = mqtt5.read
    monkeypatch.setattr(mqtt5, "read", lambda view: (calls.append(1), read(view))[1])
    feed(inbox_of(), publish("a", bytes(1900)), 10)
    assert len(calls) <= 3


def test_full_at_either_bound() -> None:
    by_bytes, by_count = inbox_of(burst_bytes=40), inbox_of(burst_messages=2)
    for inbox in (by_bytes, by_count):
        feed(inbox, publish("a", bytes(10)))
        assert not inbox.full
        feed(inbox, publish("a", bytes(30)))
        assert inbox.full
        inbox.take()
        assert not inbox.full


def test_refuse_throws_away_messages_and_keeps_answers() -> None:
    inbox = inbox_of()
    inbox.refuse()
    control = feed(inbox, publish("a", b"x") + mqtt5.PingRespPacket().write())
    assert len(control) == 1
    assert not inbox.waiting
