# SPDX-License-Identifier: Apache-2.0
"""Connections that ask nothing, or never come to an end of it, and who asks meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from tirta.connections import Patience
from tirta.web import Door, listen

ASK = b"GET /quick HTTP/1.1\r\nhost: tirta\r\n\r\n"
SOON_S = 20.0  # what is done in a moment, on a machine that is busy [s]

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def made() -> FastAPI:
    app = FastAPI()

    @app.get("/quick")
    async def quick() -> str:
        return "here"

    @app.post("/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(12):
                yield b"piece"
                await asyncio.sleep(0.1)
            yield b"last"

        return StreamingResponse(pieces())

    return app


@asynccontextmanager
async def running(patience: Patience) -> AsyncIterator[int]:
    """Serve, and give the port."""
    listener = listen("127.0.0.1", 0)
    door = Door(made(), listener, patience=patience)
    serving = asyncio.create_task(door.serve())
    try:
        await door.ready.wait()
        yield listener.getsockname()[1]
    finally:
        door.close()
        await serving
        listener.close()


@asynccontextmanager
async def connected(port: int, number: int) -> AsyncIterator[list[Ends]]:
    """Open so many connections, one after the other."""
    ends = [await asyncio.open_connection("127.0.0.1", port) for _ in range(number)]
    try:
        yield ends
    finally:
        for _, writer in ends:
            writer.transport.abort()
        await asyncio.sleep(0)


async def ended(reader: asyncio.StreamReader) -> bool:
    """Wait until the server closes, and tell that it did."""
    try:
        async with asyncio.timeout(SOON_S):
            while await reader.read(65536):
                pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


async def answer(ends: Ends, request: bytes = ASK) -> bytes:
    ends[1].write(request)
    async with asyncio.timeout(SOON_S):
        head = await ends[0].readuntil(b"\r\n\r\n")
        await ends[0].readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]))
    return head.split(b"\r\n")[0]


async def test_who_asks_is_answered_while_many_hold_connections_and_ask_nothing() -> None:
    async with running(Patience(waiting=20)) as port, connected(port, 200) as idle:
        async with connected(port, 1) as mine:
            for _ in range(2):  # the connection is kept between
                assert await answer(mine[0]) == b"HTTP/1.1 200 OK"
        assert await ended(idle[0][0]), "the one that waited longest made room"


@pytest.mark.parametrize("begun", [b"", b"GET /qu", b"GET /quick HTTP/1.1\r\nx: "])
async def test_a_connection_that_does_not_come_to_ask_is_closed(begun: bytes) -> None:
    async with running(Patience(head_s=0.3)) as port, connected(port, 1) as mine:
        reader, writer = mine[0]
        writer.write(begun)
        assert await ended(reader)


async def test_a_head_that_trickles_in_is_closed_all_the_same() -> None:
    async with running(Patience(head_s=0.5)) as port, connected(port, 1) as mine:
        reader, writer = mine[0]
        assert await answer(mine[0]) == b"HTTP/1.1 200 OK"
        writer.write(b"GET /quick HTTP/1.1\r\nx: ")
        closing = asyncio.create_task(ended(reader))
        while not closing.done():
            writer.write(b"y")
            await asyncio.sleep(0.05)
        assert closing.result()


@pytest.mark.parametrize("path", ["body", "quick"])
async def test_a_body_that_does_not_come_is_not_waited_for(path: str) -> None:
    async with running(Patience(head_s=0.3, body_s=0.3)) as port, connected(port, 1) as mine:
        reader, writer = mine[0]
        writer.write(f"POST /{path} HTTP/1.1\r\nhost: tirta\r\ncontent-length: 100\r\n\r\nx".encode())
        assert await ended(reader)


async def test_a_whole_body_is_taken_and_a_long_answer_is_left_alone() -> None:
    async with running(Patience(head_s=0.5, body_s=0.5)) as port, connected(port, 2) as mine:
        assert await answer(mine[0], b"POST /body HTTP/1.1\r\nhost: t\r\ncontent-length: 3\r\n\r\nxyz") == b"HTTP/1.1 200 OK"
        reader, writer = mine[1]
        writer.write(b"GET /stream HTTP/1.1\r\nhost: tirta\r\n\r\n")
        async with asyncio.timeout(SOON_S):
            assert (await reader.readuntil(b"last")).count(b"piece") == 12
