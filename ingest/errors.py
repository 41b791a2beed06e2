# SPDX-License-Identifier: Apache-2.0
"""Errors of ingest, split by remedy. (The stores' own tree hangs below `ingest.store.errors.StoreError`.)

IngestError
├── JournalError
│   ├── Unavailable     retry: the volume answers with an error
│   ├── Full            retry later: its bound or the volume is reached
│   ├── Fenced          stop: another process owns the journal
│   └── Gap             fix the reader: what it asks for was trimmed
└── FolderInUse         fix the deployment: one process, one data folder
"""

from __future__ import annotations

__all__ = ["Fenced", "FolderInUse", "Full", "Gap", "IngestError", "JournalError", "Unavailable"]


class IngestError(Exception):
    """A measurement's way to disk is blocked."""

    def __str__(self) -> str:
        return super().__str__() or (type(self).__doc__ or "").strip()


class JournalError(IngestError):
    """The journal did not take or give what it was asked."""


class Unavailable(JournalError):
    """The volume of the journal, or of a file beside it, answers with an error; what waits for it is tried again."""


class Full(JournalError):
    """The journal, or its volume, is full; nothing is acknowledged until there is room."""


class Fenced(JournalError):
    """Another process has claimed this journal; this one must stop."""


class Gap(JournalError):
    """The position asked for has been trimmed.

    Attributes
    ----------
    first : int
        The oldest position that can still be read.
    """

    def __init__(self, position: int, first: int) -> None:
        super().__init__(f"position {position} has been trimmed; the journal begins at {first}")
        self.first = first


class FolderInUse(IngestError):
    """Another Tirta runs on this data folder; stop it, or choose another folder with --data."""
