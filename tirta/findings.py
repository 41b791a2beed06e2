# SPDX-License-Identifier: Apache-2.0
"""What `tirta doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Finding"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: how it is, and what to do where it is not well."""

    part: str
    ok: bool
    text: str
