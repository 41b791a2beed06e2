# SPDX-License-Identifier: Apache-2.0
"""`tirta quarantine …`: what devices sent and Tirta could not take. Asks the running service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tirta.client import Client
from tirta.errors import NotPossible
from tirta.folder import DataFolder
from tirta.options import CONFIG, DATA
from tirta.settings import load_settings
from tirta.terminal import one_line

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="What devices sent and Tirta could not take, with the reason.")

_PATH = "/api/v1/quarantine"
REASON = Annotated[str | None, typer.Option(help="Only of this reason, as unknown-device.")]
DEVICE = Annotated[str | None, typer.Option(metavar="SITE:DEVICE", help="Only of this device.")]
ENTRY = Annotated[str, typer.Argument(metavar="ID", help="Id, as listed.")]
ENTRY_OR_MANY = Annotated[str | None, typer.Argument(metavar="[ID]", help="Id, as listed; without it the options choose.")]


def _service(config: Path | None, data: Path | None) -> Client:
    ready = DataFolder(load_settings(config, data=data).data).file("ready.json")
    if not ready.exists():
        raise NotPossible("no service runs on this data folder: start it with `tirta up`, or name another with --data")
    return Client.from_ready_file(ready)


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
        page = client.get(_PATH, limit=limit, **_chosen(reason, device))
    for item in page["items"]:
        sender = f"{item['site']}:{item['device']}" if item["site"] else item["topic"]
        print(f"{item['id']:>8}  {item['at']:<24}  {one_line(sender):<24}  {item['reason']:<18}  {one_line(item['detail'])}")
    if not page["items"]:
        print("nothing")
    elif page["next"] is not None:
        print(f"... and older ones; --limit shows more than {limit}")


@app.command()
def show(entry: ENTRY, data: DATA = None, config: CONFIG = None) -> None:
    """Show one entry with its payload."""
    with _service(config, data) as client:
        item = client.get(f"{_PATH}/{entry}")
    for name in ("at", "topic", "reason", "detail", "size", "replays", "replayable"):
        print(f"{name:<11} {one_line(str(item[name]))}")
    print(f"\n{item['payload_text']}")


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
            answer = client.post(f"{_PATH}/{entry}/replay")
            print(f"{entry} {answer['result']}" + (f": {answer['detail']}" if answer["detail"] else ""))
            return
        print(_told(_replay_all(client, chosen)))


@app.command()
def discard(
    entry: ENTRY_OR_MANY = None, reason: REASON = None, device: DEVICE = None, data: DATA = None, config: CONFIG = None
) -> None:
    """Throw entries away."""
    chosen = _require_choice(entry, reason, device)
    with _service(config, data) as client:
        if entry is not None:
            client.delete(f"{_PATH}/{entry}")
            print(f"{entry} is gone")
            return
        count, more = 0, True
        while more:
            answer = client.request("DELETE", _PATH, params=chosen)
            count, more = count + answer["discarded"], answer["more"]
    print(f"{count} are gone")


def _require_choice(entry: str | None, reason: str | None, device: str | None, *, every: bool = False) -> dict[str, str]:
    chosen = _chosen(reason, device)
    if (entry is not None) + bool(chosen) + every != 1:
        raise NotPossible("say which: an ID, or --reason or --device (`tirta quarantine list` shows what there is)")
    return chosen


def _replay_all(client: Client, chosen: dict[str, str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    after = None
    while True:
        body: dict[str, Any] = {**chosen, **({} if after is None else {"after": after})}
        answer = client.post(f"{_PATH}/replay", body)
        after = answer.pop("next")
        for result, count in answer.items():
            counts[result] = counts.get(result, 0) + count
        if after is None:
            return counts


def _told(counts: dict[str, int]) -> str:
    words = {"incomplete": "cannot be replayed", "duplicate": "had arrived before", "refused": "refused again"}
    return ", ".join(f"{count} {words.get(result, result)}" for result, count in counts.items() if count) or "nothing"
