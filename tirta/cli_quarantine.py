# SPDX-License-Identifier: Apache-2.0
"""`tirta quarantine …`: what devices sent and Tirta could not take. Asks the running service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from tirta.client import Client, Replays
from tirta.errors import NotPossible
from tirta.folder import DataFolder
from tirta.local import local_why
from tirta.options import CONFIG, DATA
from tirta.settings import load_settings
from tirta.terminal import one_line

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="What devices sent and Tirta could not take, with the reason.")

REASON = Annotated[str | None, typer.Option(help="Only of this reason, as unknown-device.")]
DEVICE = Annotated[str | None, typer.Option(metavar="SITE:DEVICE", help="Only of this device.")]
ENTRY = Annotated[str, typer.Argument(metavar="ID", help="Id, as listed.")]
ENTRY_OR_MANY = Annotated[str | None, typer.Argument(metavar="[ID]", help="Id, as listed; without it the options choose.")]


def _service(config: Path | None, data: Path | None) -> Client:
    ready = DataFolder(load_settings(config, data=data).data).file("ready.json")
    if not ready.exists():
        raise NotPossible("no service runs on this data folder: start it with `tirta up`, or name another with --data")
    return Client.from_ready_file(ready, why=local_why())


def _chosen(reason: str | None, device: str | None) -> dict[str, str]:
    chosen = {} if reason is None else {"reason": reason}
    if device is not None:
        site, colon, name = device.partition(":")
        if not colon:
            raise NotPossible(f"{device!r} is not SITE:DEVICE")
        chosen |= {"site": site, "device": name}
    return chosen


@app.command("list")
def list_entries(
    reason: REASON = None,
    device: DEVICE = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most entries.")] = 50,
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """List entries, the newest first."""
    with _service(config, data) as client:
        found = list(islice(client.quarantine.list(**_chosen(reason, device)), limit + 1))
    for item in found[:limit]:
        sender = f"{item.site}:{item.device}" if item.site else item.topic
        at = item.at.strftime("%Y-%m-%dT%H:%M:%SZ")
        print(f"{item.id:>8}  {at:<24}  {one_line(sender):<24}  {item.reason:<18}  {one_line(item.detail)}")
    if not found:
        print("nothing")
    elif len(found) > limit:
        print(f"... and older ones; --limit shows more than {limit}")


@app.command()
def show(entry: ENTRY, data: DATA = None, config: CONFIG = None) -> None:
    """Show one entry with its payload."""
    with _service(config, data) as client:
        item = client.quarantine.get(entry)
    shown = {"at": item.at.isoformat(), "topic": item.topic, "reason": item.reason, "detail": item.detail}
    shown |= {"size": str(item.size), "replays": str(item.replays), "replayable": str(item.replayable)}
    for name, value in shown.items():
        print(f"{name:<11} {one_line(value)}")
    print(f"\n{item.payload_text}")


@app.command()
def replay(
    entry: ENTRY_OR_MANY = None,
    reason: REASON = None,
    device: DEVICE = None,
    every: Annotated[bool, typer.Option("--all", help="All there are.")] = False,
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Have entries decided about anew once their cause is mended; what is refused again stays."""
    chosen = _require_choice(entry, reason, device, every=every)
    with _service(config, data) as client:
        if entry is not None:
            answer = client.quarantine.replay(entry)
            print(f"{entry} {answer.result}" + (f": {answer.detail}" if answer.detail else ""))
            return
        print(_told(client.quarantine.replay_many(**chosen)))


@app.command()
def discard(
    entry: ENTRY_OR_MANY = None, reason: REASON = None, device: DEVICE = None, data: DATA = None, config: CONFIG = None
) -> None:
    """Throw entries away."""
    chosen = _require_choice(entry, reason, device)
    with _service(config, data) as client:
        if entry is not None:
            client.quarantine.discard(entry)
            print(f"{entry} is gone")
            return
        print(f"{client.quarantine.discard_many(**chosen)} are gone")


def _require_choice(entry: str | None, reason: str | None, device: str | None, *, every: bool = False) -> dict[str, str]:
    chosen = _chosen(reason, device)
    if (entry is not None) + bool(chosen) + every != 1:
        raise NotPossible("say which: an ID, or --reason or --device (`tirta quarantine list` shows what there is)")
    return chosen


def _told(answers: Iterable[Replays]) -> str:
    words = {"incomplete": "cannot be replayed", "duplicate": "had arrived before", "refused": "refused again"}
    counts: Counter[str] = Counter()
    for answer in answers:
        for result in ("stored", "duplicate", "refused", "waiting", "incomplete"):
            counts[result] += getattr(answer, result)
    return ", ".join(f"{count} {words.get(result, result)}" for result, count in counts.items() if count) or "nothing"
