# SPDX-License-Identifier: Apache-2.0
"""A small client of the HTTP API, for the command line and for tests."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from tirta.errors import ServiceAnswer

__all__ = ["Client"]

_TIMEOUT_S = 30.0


class Client:
    """Ask a running Tirta.

    Parameters
    ----------
    url : str
        Its address, as http://127.0.0.1:8080.
    token : str
        Bearer token.
    """

    def __init__(self, url: str, token: str) -> None:
        # Proxies of the environment are for the outside world, not for a service on this machine or its network.
        self._http = httpx2.Client(
            base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=_TIMEOUT_S, trust_env=False
        )

    @classmethod
    def from_ready_file(cls, path: Path) -> Client:
        """Make a client from what `tirta up` wrote when it was ready."""
        ready = json.loads(path.read_text("utf-8"))
        return cls(ready["http"], ready["token"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def request(self, method: str, path: str, **options: Any) -> Any:
        """Send one request and return the decoded answer; None where it has no body.

        Raises
        ------
        ServiceAnswer
            The service answered with an error, or did not answer (status 0).
        """
        try:
            answer = self._http.request(method, path, **options)
        except httpx2.HTTPError as exc:
            raise ServiceAnswer(0, f"no answer from {self._http.base_url}: {exc}") from exc
        if answer.is_success:
            return answer.json() if answer.content else None
        try:
            problem = answer.json()
            fields = "; ".join(f"{e['field']}: {e['detail']}" for e in problem.get("errors", []))
            detail = fields or problem.get("detail") or problem.get("title")
        except ValueError:
            detail = answer.text[:200]
        raise ServiceAnswer(answer.status_code, str(detail))

    def get(self, path: str, **parameters: Any) -> Any:
        """Ask for something."""
        return self.request("GET", path, params={k: v for k, v in parameters.items() if v is not None})

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """Create or do something."""
        return self.request("POST", path, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def put(self, path: str, body: Any) -> Any:
        """Change something."""
        return self.request("PUT", path, json=body)

    def delete(self, path: str) -> Any:
        """Take something away."""
        return self.request("DELETE", path)

    def all(self, path: str, **parameters: Any) -> list[Any]:
        """Return every item of a list, page by page."""
        items: list[Any] = []
        after = None
        while True:
            page = self.get(path, **parameters, after=after, limit=1000)
            items += page["items"]
            after = page["next"]
            if after is None:
                return items
