# SPDX-License-Identifier: Apache-2.0
"""`tirta device …`: field devices and their credentials.

While the service runs it is asked over HTTP, so that broker and ingest follow at once; while it is stopped the registry is
written and the next start follows from it. Either way the audit trail names the account that called the command.
"""

from __future__ import annotations

from typing import Annotated

import typer
from msgspec import UNSET, UnsetType
from sqlalchemy.orm import Session

from control import places, registry
from control.audit import Trail
from control.errors import NotFound
from control.paging import every
from control.records import ZoneSpec, ZoneType
from gateway import Address, Kind, load_catalogue
from gateway.credentials import hash_password, new_credential
from tirta.cli_tokens import control_database
from tirta.client import Client, NewConfig, NewZone
from tirta.errors import NotPossible, NotThere
from tirta.local import local_trail
from tirta.options import CONFIG, DATA, WHY
from tirta.running import running_client
from tirta.settings import load_settings

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Field devices and their credentials.")

DEVICE = Annotated[str, typer.Argument(metavar="SITE:DEVICE", help="For example taman-kota:bedeng-1.")]


def _address(text: str) -> Address:
    site, colon, device = text.partition(":")
    if not colon:
        raise NotPossible(f"{text!r} is not SITE:DEVICE")
    return Address(site, device)


def _show_credential(username: str, password: str, notice: str | None = None) -> None:
    print(f"username  {username}\npassword  {password}\n(shown this once; the client id is the user name)")
    if notice:
        print(notice)


@app.command()
def add(
    device: DEVICE,
    kind: Annotated[str, typer.Option(help="irrigation-controller, pond-feeder, weather-station, water-meter or your own.")],
    title: Annotated[str | None, typer.Option(help="What people call it. [default: its name]")] = None,
    zones: Annotated[int, typer.Option(min=1, max=64, help="How many beds or ponds it has.")] = 1,
    timezone: Annotated[str, typer.Option(help="IANA zone of its site, where that is created with it.")] = "Asia/Makassar",
    agency: Annotated[
        str | None,
        typer.Option(metavar="CITY:AGENCY", help="Whose its site is, where that is created with it. [default: the only one]"),
    ] = None,
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Add a device, and its site where it is new; print its credential, this once."""
    address, title = _address(device), title or device.partition(":")[2]
    catalogue = load_catalogue(load_settings(config, data=data).catalogue)
    if kind not in catalogue.kinds:
        raise NotPossible(f"there is no kind {kind!r}; kinds are {', '.join(sorted(catalogue.kinds))}")
    specs = _zones(catalogue.kinds[kind], title, zones)
    client = running_client(config, data, why)
    if client is not None:
        with client:
            _make_site_over_http(client, address.site, timezone, agency)
            made = client.devices.create(
                address.site, address.device, kind, title, zones=[NewZone(one.number, one.title, one.type) for one in specs]
            ).credential
        _show_credential(made.username, made.password, made.notice)
        return
    credential = new_credential(address.username)
    hashed = hash_password(credential.password)
    trail = local_trail(why)
    with control_database(config, data) as (database, now_ms), database.session() as session:
        _make_site(session, address.site, timezone, agency, now_ms, trail)
        registry.create_device(session, address.site, address.device, kind, title, specs, hashed, now_ms=now_ms, trail=trail)
    _show_credential(credential.username, credential.password)


def _make_site_over_http(client: Client, site: str, timezone: str, agency: str | None) -> None:
    try:
        client.sites.get(site)
    except NotThere:
        client.sites.create(site, site, timezone, agency=agency or _only([each.id for each in client.agencies.list()]))


def _make_site(session: Session, site: str, timezone: str, agency: str | None, now_ms: int, trail: Trail) -> None:
    try:
        registry.get_site(session, site)
    except NotFound:
        known = every(lambda after: places.list_agencies(session, limit=1000, after=after))
        chosen = agency or _only([each.key for each in known])
        details = registry.SiteDetails(agency=chosen if isinstance(chosen, str) else None)
        registry.create_site(session, site, site, timezone, details, now_ms=now_ms, trail=trail)


def _only(agencies: list[str]) -> str | UnsetType:
    """Return the only agency; with none, leave it to whoever makes the first site."""
    if len(agencies) > 1:
        raise NotPossible(f"the site is new; say whose it is with --agency: {', '.join(agencies)}")
    return agencies[0] if agencies else UNSET


def _zones(kind: Kind, title: str, count: int) -> list[ZoneSpec]:
    type_: ZoneType = "bed" if "irrigate" in kind.actions else "pond" if "feed" in kind.actions else "point"
    return [ZoneSpec(number, title if count == 1 else f"{title} {number}", type_) for number in range(1, count + 1)]


@app.command("list")
def list_devices(data: DATA = None, config: CONFIG = None) -> None:
    """List the devices."""
    with control_database(config, data) as (database, _), database.reader() as session:
        for device in every(lambda after: registry.list_devices(session, limit=1000, after=after)):
            state = "online" if device.online else "offline"
            print(f"{device.key:<32} {device.kind:<24} {device.zones:>2} zones  {state}")


@app.command()
def config(
    device: DEVICE,
    telemetry_s: Annotated[
        int | None, typer.Option(min=0, max=86400, help="Have it measure so often, in seconds; 0 is as often as all.")
    ] = None,
    why: WHY = "",
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Show a device's configuration, as wanted and as the device says is in force; or change how often it measures."""
    address = _address(device)
    client = running_client(config, data, why)
    if client is None:
        raise NotPossible("Tirta does not run, and nothing can be told or asked; start it: tirta up")
    with client:
        found = client.devices.get(address.key)
        shown = found.config
        if telemetry_s is not None:
            wanted = NewConfig(telemetry_s or None, shown.set.calibration, shown.set.fallback)
            shown = client.devices.configure(address.key, wanted, version=found.version)
    print(f"version {shown.version}, the device has {shown.reported_version}: {shown.state}")
    for one in shown.settings:
        told = "" if one.state == "in-force" else f"  {one.state}: the device has {one.reported}"
        print(f"{one.key:<24} {one.desired}{told}{'' if one.reason is None else f' ({one.reason})'}")


@app.command()
def rotate(device: DEVICE, why: WHY = "", data: DATA = None, config: CONFIG = None) -> None:
    """Give a device a new credential, printed this once; the old one is refused at once."""
    address = _address(device)
    client = running_client(config, data, why)
    if client is not None:
        with client:
            made = client.devices.rotate(address.key)
        _show_credential(made.username, made.password, made.notice)
        return
    credential = new_credential(address.username)
    with control_database(config, data) as (database, _), database.session() as session:
        registry.set_password_hash(session, address.key, hash_password(credential.password), trail=local_trail(why))
    _show_credential(credential.username, credential.password)


@app.command()
def revoke(device: DEVICE, why: WHY = "", data: DATA = None, config: CONFIG = None) -> None:
    """Put a device out: its credential ends, its schedules stop, its history stays."""
    address = _address(device)
    client = running_client(config, data, why)
    if client is not None:
        with client:
            if notice := client.devices.revoke(address.key):
                print(notice)
    else:
        with control_database(config, data) as (database, now_ms), database.session() as session:
            registry.revoke_device(session, address.key, now_ms=now_ms, trail=local_trail(why))
    print(f"{address.key} is revoked")
