# SPDX-License-Identifier: Apache-2.0
"""A real OpenID provider for tests: npm's `oidc-provider`, locked in oidc/package-lock.json, on a free port of loopback.

Where node or its packages are not to be had a test is skipped with the reason, and fails under CI=true.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

__all__ = ["Provider", "running_provider"]

_FOLDER = Path(__file__).parent / "oidc"
_INSTALL_MAX_S = 120


@dataclass(frozen=True, slots=True)
class Provider:
    """Where it answers, and Tirta's secret there."""

    issuer: str
    secret: str = field(repr=False)


@contextmanager
def running_provider(folder: Path, callback: str) -> Iterator[Provider]:
    """Start it for one callback address, and stop it by its process after."""
    node = _installed(folder)
    secret = secrets.token_urlsafe(32)
    command = [node, str(folder / "provider.js"), callback, secret]
    with (folder / "err").open("wb") as err:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, text=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port.isdigit(), (folder / "err").read_text("utf-8")
        yield Provider(f"http://127.0.0.1:{port}", secret)
    finally:
        process.kill()
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()


def _installed(folder: Path) -> str:
    """Install the locked packages into the folder, and return the path of node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        _missing("node and npm are not installed: apt-get install nodejs npm")
    for name in ("package.json", "package-lock.json", "provider.js"):
        shutil.copy(_FOLDER / name, folder)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_MAX_S, check=False)
    if done.returncode != 0:
        _missing(f"npm cannot install oidc-provider: {done.stderr[-500:]}")
    return str(node)


def _missing(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
