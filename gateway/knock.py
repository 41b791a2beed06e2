# SPDX-License-Identifier: Apache-2.0
"""Connect to a broker once and leave again: to see whether it takes a credential, or to clear a stored session."""

from __future__ import annotations

import asyncio
import ssl

import mqtt5

from gateway.connection import Connection
from gateway.credentials import Credential
from gateway.errors import LinkLost, LinkRefused
from gateway.framing import Inbox

__all__ = ["knock"]

_BOUND = 64 * 1024  # of anything read here [bytes]


async def knock(
    host: str, port: int, credential: Credential, *, tls: ssl.SSLContext | None = None, timeout_s: float = 5.0
) -> bool:
    """Connect with a clean start and nothing to keep, so that a session stored under that user name goes.

    Returns True when the broker took the credential, False when it refused it.

    Raises
    ------
    LinkLost
        The broker can't be reached or does not answer within `timeout_s`. [s]
    """
    inbox = Inbox(connection=0, read_bytes=4096, max_packet_size=_BOUND, burst_bytes=_BOUND, burst_messages=1)
    inbox.refuse()
    connection = Connection(number=0, inbox=inbox, max_inflight=1, on_arrival=lambda: None, on_lost=lambda: None)
    greeting = mqtt5.ConnectPacket(
        credential.username, username=credential.username, password=credential.password.encode(), clean_start=True
    )
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().create_connection(lambda: connection, host, port, ssl=tls)
            await connection.open(greeting)
            connection.end(LinkLost("done"), mqtt5.DisconnectReasonCode.NORMAL_DISCONNECTION)
            await asyncio.shield(connection.lost)
    except LinkRefused:
        return False
    except OSError as exc:  # a TimeoutError too
        raise LinkLost(f"no answer from {host}:{port}: {str(exc) or 'too slow'}") from exc
    finally:
        connection.end(LinkLost("done"))
    return True
