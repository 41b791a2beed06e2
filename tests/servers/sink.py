# SPDX-License-Identifier: Apache-2.0
"""A small HTTP server in the place of a series database: takes line protocol, answers as it is told, forgets when killed.

Rows are kept in memory alone, as by a database that answers before its disk has them; `durable_s` lets what is older than
that be in a file, as by one that flushes now and then. `Sink` starts and ends it as a process of its own.
Invariant: it shares no code with the product; a row is its series, its time and its fields, kept once.

    POST /api/v2/write          lines; 204, or what the mode says; those for other buckets than `tirta` are thrown away
    GET  /api/v2/buckets        every bucket that is asked for is there
    POST /api/v2/query          finds nothing
    POST /control               {"mode": ..., ...}
    GET  /rows                  [[device, boot, seq, when it came first], ...]
"""

from __future__ import annotations

import gzip
import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

__all__ = ["BAD_VALUE", "Sink"]

BAD_VALUE: Final = 0.666  # a line with this moisture is one that the database can never take, in no mode
_LINE: Final = re.compile(r"[^,]+,device=([^,]+),site=([^,]+),zone=\d+ (\S+) (\d+)$")
_BODY_MAX: Final = 8_192  # for the mode `413`: larger ones are refused [bytes]


class Sink:
    """The sink as a process; a context manager."""

    def __init__(self, folder: Path, *, durable_s: float | None = None) -> None:
        self.folder = folder
        self._durable_s = durable_s
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Sink:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self.kill()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        told = [sys.executable, __file__, str(self.port), str(self.folder / "rows"), str(self._durable_s or 0)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(told, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end_s = time.monotonic() + 10
        while True:
            try:
                self._ask("GET", "/rows")
            except OSError:
                assert time.monotonic() < end_s, "the sink does not start"
                time.sleep(0.02)
            else:
                return

    def kill(self, *, keep: bool = False) -> None:
        """End it as a crash would: what was in memory alone is gone, unless `keep` has it written down first."""
        assert self._process is not None
        if keep:
            self._ask("POST", "/control", {"keep": True})
        self._process.kill()
        self._process.wait(60)
        self._process = None

    def be(self, mode: str, **more: Any) -> None:
        """Answer writes this way from now on: `ok`, `503`, `429`, `413`, `401`, `stall`, `reset`."""
        self._ask("POST", "/control", {"mode": mode, **more})

    @property
    def rows(self) -> dict[tuple[str, int, int], float]:
        """Every row it holds, with the time it first came. [s since the Unix epoch]"""
        return {(device, boot, seq): at for device, boot, seq, at in self._ask("GET", "/rows")}

    @property
    def copies(self) -> int:
        """Rows that stand there under more than one time: written twice and not over one another."""
        rows = self._ask("GET", "/rows")
        return len(rows) - len({(device, boot, seq) for device, boot, seq, _ in rows})

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            return json.loads(connection.getresponse().read() or b"null")
        except http.client.HTTPException as exc:
            raise ConnectionError(str(exc)) from exc
        finally:
            connection.close()


class _Rows:
    """What it holds: (device, boot, seq, nanoseconds) -> when it came first."""

    def __init__(self, path: Path, durable_s: float) -> None:
        self.lock = threading.Lock()
        self.held: dict[tuple[str, int, int, int], float] = {}
        self._path, self._durable_s = path, durable_s
        self._written: set[tuple[str, int, int, int]] = set()
        if path.exists():
            for line in path.read_text().splitlines():
                device, boot, seq, ns, at = json.loads(line)
                self.held[device, boot, seq, ns] = at
            self._written = set(self.held)

    def put(self, keys: list[tuple[str, int, int, int]]) -> None:
        now_s = time.time()
        with self.lock:
            for key in keys:
                self.held.setdefault(key, now_s)

    def keep(self, age_s: float) -> None:
        """Write down what came longer ago."""
        with self.lock:
            old = [key for key, at in self.held.items() if at <= time.time() - age_s and key not in self._written]
            with self._path.open("a") as file:
                for key in old:
                    file.write(json.dumps([*key, self.held[key]]) + "\n")
            self._written.update(old)

    def flush_forever(self) -> None:
        while self._durable_s:
            time.sleep(0.1)
            self.keep(self._durable_s)


def _parse(body: bytes) -> tuple[list[tuple[str, int, int, int]], int]:
    """Return the rows of a body and how many of its lines are ones that can never be taken."""
    keys, bad = [], 0
    for line in body.decode().splitlines():
        found = _LINE.match(line)
        assert found is not None, line
        device, site, text, ns = found.groups()
        fields = dict(pair.split("=", 1) for pair in text.split(","))
        if fields.get("soil_moisture") == repr(BAD_VALUE):
            bad += 1
        keys.append((f"{site}/{device}", int(fields["boot"][:-1]), int(fields["seq"][:-1]), int(ns)))
    return keys, bad


def _serve(port: int, rows: _Rows) -> None:
    state: dict[str, Any] = {"mode": "ok"}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base class names it so
            return

        def do_GET(self) -> None:
            where = urllib.parse.urlsplit(self.path)
            if where.path == "/api/v2/buckets":
                name = urllib.parse.parse_qs(where.query)["name"][0]
                found = {"id": f"{zlib.crc32(name.encode()):016x}", "orgID": "00000000000000aa", "name": name}
                self._answer(200, {"buckets": [{**found, "retentionRules": []}]})
                return
            with rows.lock:
                held = [[device, boot, seq, at] for (device, boot, seq, _), at in rows.held.items()]
            self._answer(200, held)

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            if self.path == "/control":
                told = json.loads(self.rfile.read(length))
                if told.pop("keep", False):
                    rows.keep(0.0)
                state.update(told)
                self._answer(200, None)
                return
            if not self.path.startswith("/api/v2/write"):
                self.rfile.read(length)
                self._answer(200, None)
                return
            mode = state["mode"]
            if mode == "reset":  # in the middle of the body
                self.rfile.read(min(length, 100))
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self.connection.close()
                self.close_connection = True
                return
            body = self.rfile.read(length)
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if "bucket=tirta&" not in f"{self.path}&":
                self._answer(204, None)
                return
            self._take(mode, body)

        def do_PATCH(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(200, {"id": "0", "orgID": "0", "name": "any", "retentionRules": []})

        def _take(self, mode: str, body: bytes) -> None:
            if mode in ("503", "429", "401"):
                self._answer(int(mode), {"code": "refused", "message": f"told to answer {mode}"})
                return
            if mode == "stall":
                time.sleep(float(state["stall_s"]))
            if mode == "413" and len(body) > _BODY_MAX:
                self._answer(413, {"code": "request too large", "message": "told to take only small ones"})
                return
            keys, bad = _parse(body)
            if bad:  # however well it is
                self._answer(400, {"code": "invalid", "message": "unable to parse: told not to take this value"})
                return
            rows.put(keys)
            self._answer(204, None)

        def _answer(self, status: int, body: object) -> None:
            content = b"" if body is None else json.dumps(body).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                if status == 429:
                    self.send_header("Retry-After", "1")
                if status != 204:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content if status != 204 else b"")
            except OSError:
                self.close_connection = True

    threading.Thread(target=rows.flush_forever, daemon=True).start()
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), _Rows(Path(sys.argv[2]), float(sys.argv[3])))
