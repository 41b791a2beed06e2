# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy that misbehaves on command: silence, half-open connections, resets in the middle of a packet, single bytes.

It runs in a thread of its own with blocking sockets, two threads a connection. Invariant: bytes that are passed on are
passed on in order and unchanged; what a mode holds back is passed on when the mode ends, unless the connection was cut.
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from contextlib import suppress

__all__ = ["Proxy"]

_CHUNK = 65536
_PUBLISH, _PUBACK = 3, 4  # packet types [MQTT 5, 2.1.2]
_POLL_S = 0.05


class _Packets:
    """Finds in one direction's bytes the packet ids of one type of MQTT 5 packet, however the bytes are cut."""

    def __init__(self, kind: int) -> None:
        self._kind = kind
        self._rest = b""

    def feed(self, data: bytes) -> list[int]:
        """Return the ids in the packets that are whole now; of PUBLISH those of QoS 1."""
        rest = self._rest + data
        found, at = [], 0
        while (whole := self._whole(rest, at)) is not None:
            start, end = whole
            head = rest[at]
            if head >> 4 == self._kind == _PUBACK:
                found.append(int.from_bytes(rest[start : start + 2]))
            elif head >> 4 == self._kind and head & 0x06:
                topic = int.from_bytes(rest[start : start + 2])
                found.append(int.from_bytes(rest[start + 2 + topic : start + 4 + topic]))
            at = end
        self._rest = rest[at:]
        return found

    @staticmethod
    def _whole(data: bytes, at: int) -> tuple[int, int] | None:
        length = 0
        for i in range(4):
            if at + 1 + i >= len(data):
                return None
            length |= (data[at + 1 + i] & 0x7F) << (7 * i)
            if data[at + 1 + i] < 0x80:
                start = at + 2 + i
                return (start, start + length) if start + length <= len(data) else None
        return None


class Proxy:
    """Passes connections on to one address; a context manager.

    Attributes
    ----------
    mode : str
        `pass`; `hold` (nothing is passed on in either direction, nothing is closed); `bytes` (one byte a segment);
        `refuse` (a new connection gets a reset).
    connections : int
        Accepted so far.
    cuts : int
        How often connections were ended by us.
    strays : int
        PUBACKs for messages that their own connection had not delivered: carried over from another one.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listener.getsockname()
        self.mode = "pass"
        self.connections = 0
        self.cuts = 0
        self.strays = 0
        self._cut_at: int | None = None
        self._open: list[tuple[socket.socket, socket.socket]] = []
        self._orphans: list[socket.socket] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._accept, name="proxy")]

    def __enter__(self) -> Proxy:
        self._threads[0].start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self.cut()
        for client in self._orphans:
            _end(client)
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def cut(self, *, reset: bool = False) -> None:
        """End every connection now, with a FIN or with an RST."""
        with self._lock:
            pairs, self._open = self._open, []
        for pair in pairs:
            for end in pair:
                _end(end, reset=reset)
        self.cuts += bool(pairs)

    def reset_after(self, nbytes: int) -> None:
        """Reset the connection when so many more bytes have come from the broker, wherever in a packet that is."""
        self._cut_at = nbytes

    def orphan(self) -> None:
        """Leave every client with a connection that nobody is behind any more, and say nothing to it."""
        with self._lock:
            pairs, self._open = self._open, []
            self._orphans += [client for client, _ in pairs]
        for _, server in pairs:
            _end(server)

    def _accept(self) -> None:
        while not self._stop.is_set():
            if not select.select([self._listener], [], [], _POLL_S)[0]:
                continue
            client, _ = self._listener.accept()
            if self.mode == "refuse":
                _end(client, reset=True)
                continue
            try:
                server = socket.create_connection(self._target, 5)
            except OSError:
                _end(client, reset=True)
                continue
            self.connections += 1
            with self._lock:
                self._open.append((client, server))
            delivered: set[int] = set()
            for source, sink, downward in ((client, server, False), (server, client, True)):
                sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                thread = threading.Thread(target=self._pump, args=(source, sink, downward, delivered), name="proxy pump")
                self._threads.append(thread)
                thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket, downward: bool, delivered: set[int]) -> None:
        packets = _Packets(_PUBLISH if downward else _PUBACK)
        with suppress(OSError, ValueError):
            while not self._stop.is_set():
                if self.mode == "hold":
                    time.sleep(_POLL_S)
                    continue
                if not select.select([source], [], [], _POLL_S)[0] or self.mode == "hold":
                    continue
                data = source.recv(_CHUNK)
                if not data:
                    break
                if downward:
                    delivered.update(packets.feed(data))
                else:
                    self.strays += sum(number not in delivered for number in packets.feed(data))
                if downward and self._cut_at is not None:
                    if len(data) >= self._cut_at:
                        sink.sendall(data[: self._cut_at])
                        self._cut_at = None
                        time.sleep(0.01)  # let the part arrive before the reset takes it away
                        self.cut(reset=True)
                        return
                    self._cut_at -= len(data)
                self._pass_on(sink, data)
        for end in (source, sink):
            if end not in self._orphans:
                _end(end)

    def _pass_on(self, sink: socket.socket, data: bytes) -> None:
        if self.mode != "bytes":
            sink.sendall(data)
            return
        for at in range(len(data)):
            if self.mode != "bytes":
                sink.sendall(data[at:])
                return
            sink.sendall(data[at : at + 1])


def _end(end: socket.socket, *, reset: bool = False) -> None:
    with suppress(OSError):
        if reset:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            end.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        end.close()
