# SPDX-License-Identifier: Apache-2.0
"""The command `tirta`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from tirta import __version__
from tirta.cli_acts import app as acts_app
from tirta.cli_alarms import app as alarms_app
from tirta.cli_audit import app as audit_app
from tirta.cli_budgets import app as budgets_app
from tirta.cli_by_hand import app as by_hand_app
from tirta.cli_ca import app as ca_app
from tirta.cli_devices import app as devices_app
from tirta.cli_forecast import app as forecast_app
from tirta.cli_people import app as people_app
from tirta.cli_quarantine import app as quarantine_app
from tirta.cli_report import app as report_app
from tirta.cli_resources import app as resources_app
from tirta.cli_suspension import app as suspension_app
from tirta.cli_tokens import app as tokens_app
from tirta.cli_why import why
from tirta.cli_zones import release
from tirta.options import CONFIG, DATA
from tirta.settings import load_settings, split_host_port
from tirta.terminal import safe_output

__all__ = ["main"]

app = typer.Typer(
    name="tirta",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Connect, watch and control the field devices of a smart-city pilot.\n\n"
    "Start with:  tirta up --demo     a whole pilot with simulated devices\n\n"
    "Settings come from TIRTA_… in the environment and from --config FILE (TOML); see docs/settings.md.",
)
app.add_typer(devices_app, name="device")
app.add_typer(people_app, name="person")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(tokens_app, name="token")
acts_app.add_typer(by_hand_app)
app.add_typer(acts_app, name="act")
app.add_typer(alarms_app, name="alarms")
app.add_typer(audit_app, name="audit")
app.add_typer(budgets_app, name="budget")
app.add_typer(ca_app, name="ca")
app.add_typer(forecast_app, name="forecast")
app.add_typer(report_app, name="report")
app.add_typer(resources_app, name="resources")
app.command()(release)
app.command()(why)
app.add_typer(suspension_app, name="suspension")


@app.command()
def up(
    demo: Annotated[bool, typer.Option("--demo", help="Add the simulated pilot: a bed and a pond with their devices.")] = False,
    speed: Annotated[float, typer.Option(min=0.01, max=3600, help="Run the clock this many times as fast as the wall.")] = 1.0,
    data: DATA = None,
    http: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where HTTP answers; port 0 takes a free one.")] = None,
    mqtt: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where Tirta's own broker listens.")] = None,
    https: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where HTTP answers with TLS, for the network; see `tirta init --tls`."),
    ] = None,
    mqtts: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where Tirta's own broker listens with TLS, for boards.")
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write {http, mqtt, token} here once everything answers (mode 0600).")
    ] = None,
    behind_proxy: Annotated[
        bool,
        typer.Option("--behind-proxy", help="Allow --http an address beyond loopback: a proxy with TLS is before it."),
    ] = False,
    config: CONFIG = None,
) -> None:
    """Start Tirta: broker, ingest, rules, HTTP. Ctrl-C or SIGTERM stops it cleanly.

    The first start prints the first operator's token, once. A control database on a server that does not answer yet is
    waited for, up to 60 s.
    """
    import uvloop

    from tirta.assembly import UpOptions
    from tirta.live import TerminalAnnouncer
    from tirta.service import run_service

    settings = load_settings(
        config, data=data, http=http, mqtt=mqtt, https=https, mqtts=mqtts, behind_proxy=behind_proxy or None
    )
    _log(settings.log_level)
    ready_file = ready_file.resolve() if ready_file else None
    uvloop.run(run_service(settings, UpOptions(demo, speed), TerminalAnnouncer(sys.stdout), ready_file))


@app.command()
def init(
    env: Annotated[Path, typer.Option(metavar="FILE", help="File to write; an existing one is kept as it is.")] = Path(".env"),
    broker: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write instead the folder of a mosquitto beside Tirta; users in it are kept."),
    ] = None,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where that mosquitto is to listen; goes with --broker.")
    ] = "127.0.0.1:1883",
    listen_tls: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where it is to listen with TLS, after --tls; goes with --broker.")
    ] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="Allow --listen an address beyond loopback: a private network is before it.")
    ] = False,
    tls: Annotated[
        bool, typer.Option("--tls", help="Make instead a private authority and a certificate, or judge the one that is given.")
    ] = False,
    data: DATA = None,
    config: CONFIG = None,
) -> None:
    """Write the secrets that docker-compose.yml needs into an .env file (mode 0600).

    With --tls: make what https and mqtts need, in the data folder. With --broker: write what a mosquitto that is not started
    by Tirta needs for its start. With both: first the one, then the other.
    """
    from tirta.initialise import write_broker, write_env, write_tls

    settings = load_settings(config, data=data)
    if tls:
        print(write_tls(settings))
    if broker is not None:
        places = {"--listen": listen} | ({} if listen_tls is None else {"--listen-tls": listen_tls})
        print(write_broker(settings, broker, *_places(places), behind_proxy=behind_proxy))
    elif not tls:
        print(write_env(env))


def _places(options: dict[str, str]) -> list[tuple[str, int]]:
    places = []
    for option, text in options.items():
        try:
            places.append(split_host_port(text))
        except ValueError as exc:
            raise typer.BadParameter(str(exc), param_hint=option) from exc
    return places


@app.command()
def simulate(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO.toml", help="A scenario file, or the built-in one: demo.")],
    broker: Annotated[str, typer.Option(metavar="URL", help="mqtt://HOST:PORT or mqtts://HOST:PORT")],
    api: Annotated[str | None, typer.Option(metavar="URL", help="Tirta's HTTP address: its devices are created there.")] = None,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Holds an operator's token, or is a ready file; goes with --api.")
    ] = None,
    credentials: Annotated[
        Path | None, typer.Option(metavar="FILE", help='Passwords of devices that exist: {"site/device": "password"}.')
    ] = None,
    ca: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificates (PEM) to trust for mqtts and https.")] = None,
    clock: Annotated[Path | None, typer.Option(metavar="FILE", help="clock.json of a Tirta that runs fast.")] = None,
    state: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the devices' memory here between runs.")] = None,
    oracle: Annotated[bool, typer.Option("--oracle", help="Write into DIR what each device saw acknowledged and did.")] = False,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SITE/DEVICE[:ZONE]=FAULT[:NUMBER][@FROM..UNTIL]",
            help="Break something, for as long as is said; can be given again. FAULT: leak, burst, clog, no-water, jam, "
            "empty-hopper, power-cut, dropped-replies. FROM, UNTIL: since the start, as 600s, 10m, 2h.",
        ),
    ] = None,
) -> None:
    """Play virtual devices: controllers and feeders that obey the wire contract, with their beds, ponds and weather."""
    from tirta.simulate import Simulation, run_simulation

    _log("info")
    run_simulation(Simulation(scenario, broker, api, token_file, credentials, ca, clock, state, oracle, fault or ()))


@app.command()
def doctor(data: DATA = None, config: CONFIG = None) -> None:
    """Say what is wrong with broker, stores, disk and clock, and what to do. Ends with 0 only when all is well."""
    from tirta.doctor import examine

    findings = examine(load_settings(config, data=data))
    for finding in findings:
        print(f"{'ok  ' if finding.ok else 'BAD '} {finding.part:<10} {finding.text}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command()
def version() -> None:
    """Print the version."""
    print(f"tirta {__version__}")


def _log(level: str) -> None:
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", datefmt="%Y-%m-%dT%H:%M:%S%z"
    )


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Show what we know to be wrong as one line; anything else is a fault of ours and keeps its trace."""
    from control.errors import ControlError
    from gateway.errors import GatewayError
    from ingest.errors import IngestError
    from ingest.store.errors import StoreError
    from simulators.errors import SimulatorError
    from tirta.errors import TirtaError

    known = (TirtaError, GatewayError, IngestError, StoreError, ControlError, SimulatorError, OSError)
    try:
        yield
    except known as exc:
        print(f"tirta: {_said(exc)}", file=sys.stderr)
        raise SystemExit(1) from exc
    except BaseExceptionGroup as group:
        ours, others = group.split(known)
        if others is not None or ours is None:
            raise
        print(f"tirta: {_said(_first(ours))}", file=sys.stderr)
        raise SystemExit(1) from group


def _said(exc: BaseException) -> str:
    if isinstance(exc, OSError) and exc.filename is not None:
        return f"{exc.filename} cannot be used: {exc.strerror}; name another, or give it to the user Tirta runs as"
    return str(exc)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def main() -> None:
    """Run the command line."""
    with safe_output(), _plain_errors():
        app()
