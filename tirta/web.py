# SPDX-License-Identifier: Apache-2.0
"""Serve the HTTP application on a socket of our own, inside our own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from tirta.errors import NotPossible

__all__ = ["QuietServer", "is_loopback", "listen", "make_server", "require_safe"]

_GRACE_S = 2  # for answers under way when stopping [s]


class QuietServer(uvicorn.Server):
    """A server that leaves signals to whoever runs it, and says when it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def is_loopback(host: str) -> bool:
    """Tell whether an address reaches this machine only."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def require_safe(what: str, host: str, *, behind_proxy: bool) -> None:
    """Refuse to listen beyond loopback without TLS.

    Raises
    ------
    NotPossible
        `host` is reachable from outside and nobody said that a private network or proxy stands before it.
    """
    if not is_loopback(host) and not behind_proxy:
        raise NotPossible(
            f"{what} would listen on {host} without TLS: use 127.0.0.1, or say --behind-proxy where a private network "
            "or a proxy with TLS stands before it"
        )


def listen(host: str, port: int, option: str = "--http") -> socket.socket:
    """Return a socket bound to an address; `option` is how another one is chosen.

    Raises
    ------
    NotPossible
        The address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as exc:
        listener.close()
        raise NotPossible(f"cannot listen on {host}:{port}: {exc.strerror}; choose another with {option} HOST:PORT") from exc
    listener.set_inheritable(False)
    return listener


def make_server(app: FastAPI) -> QuietServer:
    """Return a server for the application; `serve(sockets=[...])` runs it."""
    config = uvicorn.Config(
        app,
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_GRACE_S,
        limit_concurrency=1000,
        h11_max_incomplete_event_size=64 * 1024,
    )
    return QuietServer(config)
