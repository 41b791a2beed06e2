# SPDX-License-Identifier: Apache-2.0
"""Topics: what is built is read back, and nothing else is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidTopic
from gateway.topics import FROM_DEVICE, TO_DEVICE, Address, Channel, build_topic, channel_filter, is_name, parse_topic

names = st.from_regex(r"[a-z0-9_-]{1,64}", fullmatch=True)


@given(names, names, st.sampled_from(Channel))
def test_parse_topic_reads_back_what_build_topic_wrote(site: str, device: str, channel: Channel) -> None:
    assert parse_topic(build_topic(Address(site, device), channel)) == (Address(site, device), channel)


@given(st.text(max_size=90))
def test_build_topic_takes_exactly_the_names_that_is_name_allows(name: str) -> None:
    if is_name(name):
        assert build_topic(Address(name, name), Channel.ACK) == f"tirta/v1/{name}/{name}/ack"
    else:
        with pytest.raises(InvalidTopic):
            build_topic(Address("a", name), Channel.ACK)
        with pytest.raises(InvalidTopic):
            build_topic(Address(name, "a"), Channel.ACK)


@given(st.text(max_size=200))
def test_parse_topic_of_any_text_gives_parts_that_build_it_or_refuses(topic: str) -> None:
    try:
        address, channel = parse_topic(topic)
    except InvalidTopic as exc:
        assert exc.topic == topic  # noqa: PT017 - either answer is right for some text
    else:
        assert build_topic(address, channel) == topic


def test_channel_filter_stands_for_one_channel_of_every_device() -> None:
    assert channel_filter(Channel.TELEMETRY) == "tirta/v1/+/+/telemetry"


def test_each_channel_goes_one_way() -> None:
    assert set(FROM_DEVICE) | set(TO_DEVICE) == set(Channel)
    assert set(FROM_DEVICE) & set(TO_DEVICE) == set()


def test_address_is_written_for_the_broker_and_for_people() -> None:
    assert Address("kebun", "bed-1").username == "kebun/bed-1"
    assert Address("kebun", "bed-1").key == "kebun:bed-1"
