# SPDX-License-Identifier: Apache-2.0
"""Choose the ports of a process that is started again and again: a free one at first, and from then on the same."""

from __future__ import annotations

import socket
from pathlib import Path

from gateway.processes import write_private

__all__ = ["choose_port"]


def choose_port(remembered: Path, host: str, port: int, *, keep: bool) -> int:
    """Give the configured port; with 0 the one chosen before while it is free, else another.

    Parameters
    ----------
    remembered : Path
        File that holds the one chosen before.
    host : str
        Address that the port belongs to.
    port : int
        As configured; 0 leaves the choice here.
    keep : bool
        Whether the process runs: then the port it was given is its own, though taken.
    """
    if port:
        return port
    try:
        before = int(remembered.read_text(encoding="ascii"))
    except (OSError, ValueError):
        before = 0
    if before and (keep or _is_free(host, before)):
        return before
    with socket.socket(_family(host)) as listener:
        listener.bind((host, 0))
        chosen = int(listener.getsockname()[1])
    write_private(remembered, f"{chosen}\n")
    return chosen


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _is_free(host: str, port: int) -> bool:
    with socket.socket(_family(host)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError:
            return False
    return True
