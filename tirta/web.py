# SPDX-License-Identifier: Apache-2.0
"""Serve the HTTP application on a socket of our own, inside our own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from functools import partial

import uvicorn
from fastapi import FastAPI

from tirta.connections import CONNECTIONS_MAX, Connection, Patience
from tirta.errors import NotPossible

__all__ = ["ANY_ADDRESS", "Door", "is_loopback", "listen", "require_safe"]

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - how a listener on any address is reached from here
_GRACE_S = 2  # for answers under way when stopping [s]


class _QuietServer(uvicorn.Server):
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


class Door:
    """One listener and the server behind it.

    Parameters
    ----------
    app : FastAPI
        What answers; several doors may lead to one.
    listener : socket.socket
        Bound already.
    proxies : tuple of str
        Addresses and networks whose word is taken for who asks (X-Forwarded-For) and how (X-Forwarded-Proto). Anybody else
        who says so is passed over, or whoever asks would choose what the throttle and the audit trail see.
    tls : ssl.SSLContext, optional
        Speak TLS by it; a certificate that is loaded into it later counts for every handshake from then on.
    name : str
        By which other machines reach it; for `url` where it listens on any address.
    patience : Patience, optional
        How long, and for how many, it waits.
    """

    def __init__(
        self,
        app: FastAPI,
        listener: socket.socket,
        *,
        proxies: tuple[str, ...] = (),
        tls: ssl.SSLContext | None = None,
        name: str = "",
        patience: Patience | None = None,
    ) -> None:
        host, port = listener.getsockname()[:2]
        if host in ANY_ADDRESS:
            host = name or ANY_ADDRESS[host]
        self.url = f"http{'s' if tls else ''}://{f'[{host}]' if ':' in host else host}:{port}"
        self._listener = listener
        self._server = _QuietServer(_config(app, proxies, tls, patience or Patience()))

    @property
    def ready(self) -> asyncio.Event:
        """Set once it answers."""
        return self._server.ready

    async def serve(self) -> None:
        """Answer until `close`, and until what is under way then is answered."""
        await self._server.serve(sockets=[self._listener])

    def close(self) -> None:
        """Have `serve` come to its end."""
        self._server.should_exit = True


def _config(app: FastAPI, proxies: tuple[str, ...], tls: ssl.SSLContext | None, patience: Patience) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=partial(Connection, patience),  # type: ignore[arg-type]  # whatever makes a protocol will do
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_GRACE_S,
        limit_concurrency=CONNECTIONS_MAX,
        h11_max_incomplete_event_size=64 * 1024,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
    )


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
        `host` is reachable from outside and nobody said that a proxy stands before it.
    """
    if not is_loopback(host) and not behind_proxy:
        raise NotPossible(
            f"{what} would listen on {host} without TLS: leave it on 127.0.0.1 and add --https HOST:PORT (docs/tls.md), "
            "or say --behind-proxy where a proxy with TLS stands before it"
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
