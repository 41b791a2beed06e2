# SPDX-License-Identifier: Apache-2.0
"""Settings: from a TOML file and the environment (`TIRTA_…`), read here and nowhere else.

The environment wins over the file, the command line over both. `docs/settings.md` is made from the descriptions below.
"""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from tirta.errors import InvalidSettings

__all__ = [
    "BrokerSettings",
    "HostPort",
    "InfluxSettings",
    "OidcSettings",
    "RetentionSettings",
    "Settings",
    "TlsSettings",
    "load_settings",
    "split_host_port",
]

StoreName = Literal["duckdb", "influxdb"]


def split_host_port(text: str) -> tuple[str, int]:
    """Split "HOST:PORT", with an IPv6 address in brackets.

    Raises
    ------
    ValueError
        It has another form.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not HOST:PORT; for example 127.0.0.1:8080, port 0 for a free one")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _checked_host_port(text: str) -> str:
    split_host_port(text)
    return text


def _checked_network(text: str) -> str:
    ipaddress.ip_network(text)
    return text


HostPort = Annotated[str, BeforeValidator(_checked_host_port)]
Network = Annotated[str, BeforeValidator(_checked_network)]


class BrokerSettings(BaseModel, extra="forbid"):
    """An outside broker; without `url` Tirta runs its own mosquitto."""

    url: str | None = Field(default=None, description="mqtt://HOST:PORT or mqtts://HOST:PORT of an outside MQTT 5 broker.")
    ca: Path | None = Field(default=None, description="Certificates (PEM) to trust for mqtts, instead of the system's.")
    folder: Path | None = Field(
        default=None,
        description="Where an outside mosquitto finds its user and rights files; unset: broker/ in the data folder.",
    )
    reload: str | None = Field(
        default=None, description="Command that makes the outside broker read those files anew; unset: Tirta says what to do."
    )


class InfluxSettings(BaseModel, extra="forbid"):
    """An InfluxDB 2.x for the series."""

    url: str | None = Field(default=None, description="Address of InfluxDB 2.x; when set, it is the series store.")
    org: str = Field(default="tirta", description="Organisation.")
    bucket: str = Field(
        default="tirta",
        description="Bucket that holds the measurements; those of the tiers have `_5m` and `_1h` after its name.",
    )
    token: SecretStr = Field(default=SecretStr(""), description="Token that may read and write the buckets (docs/tiers.md).")


class RetentionSettings(BaseModel, extra="forbid"):
    """How long measurements are kept, by the platform's clock."""

    raw_days: int = Field(
        default=90, ge=0, description="Rows as they were sent; older ones are not taken any more. 0 keeps for ever. [days]"
    )
    five_minutes_days: int = Field(default=730, ge=0, description="Windows of five minutes; 0 keeps for ever. [days]")
    hours_days: int = Field(default=0, ge=0, description="Windows of an hour; 0 keeps for ever. [days]")


class OidcSettings(BaseModel, extra="forbid"):
    """The city's single sign-on (OpenID Connect); without `issuer` people sign in with passwords alone."""

    issuer: str | None = Field(default=None, description="Address of the single sign-on, https, as it names itself.")
    client_id: str = Field(default="tirta", description="What Tirta is called there.")
    client_secret: SecretStr = Field(default=SecretStr(""), description="Its secret there.")
    address: str = Field(
        default="", description="Address of Tirta as browsers see it, such as https://tirta.example; they come back there."
    )
    claim: str = Field(default="email", description="What of its tokens is the login of a person; an email must be verified.")


class TlsSettings(BaseModel, extra="forbid"):
    """The certificate of https and mqtts; without `certificate` Tirta makes one by its own authority (`tirta init --tls`)."""

    certificate: Path | None = Field(
        default=None,
        description="Certificate chain (PEM) that somebody else made, the server's first; a new one is taken by itself.",
    )
    key: Path | None = Field(default=None, description="Its private key (PEM, no passphrase); unset: in the same file.")
    names: tuple[str, ...] = Field(
        default=(),
        description="Names and addresses that Tirta's own certificate stands for; unset: this machine's name and "
        "IPv4 addresses, followed when they change.",
    )
    days: int = Field(
        default=90,
        ge=1,
        le=398,
        description="Life of Tirta's own certificate; after two thirds another takes its place. [days]",
    )


class Settings(BaseSettings):
    """All settings of one installation."""

    model_config = SettingsConfigDict(env_prefix="TIRTA_", env_nested_delimiter="_", env_nested_max_split=1, extra="forbid")

    data: Path = Field(
        default_factory=lambda: Path.home() / ".local/share/tirta",
        description="Folder of all data: journal, series, control database, broker. One process, one folder.",
    )
    http: HostPort = Field(default="127.0.0.1:8080", description="HOST:PORT of the HTTP API; port 0 takes a free one.")
    mqtt: HostPort = Field(default="127.0.0.1:1883", description="HOST:PORT of Tirta's own broker; port 0 takes a free one.")
    https: HostPort | None = Field(
        default=None, description="HOST:PORT of the HTTP API with TLS, for the network (docs/tls.md)."
    )
    mqtts: HostPort | None = Field(
        default=None, description="HOST:PORT of Tirta's own broker with TLS, for boards on the network."
    )
    mqtts_certificates: HostPort | None = Field(
        default=None, description="HOST:PORT of the same, for devices that show a certificate in place of a password."
    )
    behind_proxy: bool = Field(
        default=False, description="Let `http` listen beyond loopback without TLS: a proxy with TLS stands before it."
    )
    trusted_proxies: tuple[Network, ...] = Field(
        default=(),
        description="Addresses or networks of proxies whose X-Forwarded-For and -Proto are believed; nobody else's are.",
    )
    catalogue: Path | None = Field(default=None, description="TOML file with quantities and kinds of your own.")
    database: SecretStr | None = Field(
        default=None,
        description="Address of the control database: postgresql://USER:PASSWORD@HOST/DATABASE (PostgreSQL 15 or newer,"
        " docs/deployment.md) or sqlite:////folder/control.db; unset: SQLite in the data folder.",
    )
    stores: tuple[StoreName, ...] = Field(
        default=(),
        description='Series stores, the first answers queries; unset: "influxdb" if it has a url, else "duckdb".',
    )
    journal_max_mib: int = Field(
        default=8192, ge=16, description="Bound of the journal; past it nothing is acknowledged. [MiB]"
    )
    quarantine_max_mib: int = Field(default=256, ge=1, description="Bound of the quarantine; the oldest goes first. [MiB]")
    duckdb_memory_mib: int = Field(default=256, ge=64, description="Most memory DuckDB takes. [MiB]")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="warning", description="What is logged.")
    broker: BrokerSettings = Field(default_factory=BrokerSettings)
    influx: InfluxSettings = Field(default_factory=InfluxSettings)
    oidc: OidcSettings = Field(default_factory=OidcSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)
    tls: TlsSettings = Field(default_factory=TlsSettings)

    @property
    def store_names(self) -> tuple[StoreName, ...]:
        """The stores to be used, in order."""
        return self.stores or (("influxdb",) if self.influx.url else ("duckdb",))

    def database_address(self, file: Path) -> str:
        """Return the address of the control database; where none was set, that of SQLite in `file`."""
        return f"sqlite:///{file}" if self.database is None else self.database.get_secret_value()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the command line first, then the environment, then the file."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings(config: Path | None = None, **given: Any) -> Settings:
    """Read the settings.

    Parameters
    ----------
    config : Path or None
        TOML file.
    **given
        What the command line says; None stands for not said.

    Raises
    ------
    InvalidSettings
        Naming each setting that cannot be taken, and why.
    """
    if config is not None and not config.is_file():
        raise InvalidSettings(f"there is no settings file {config}")
    chosen = type("Settings", (Settings,), {"model_config": SettingsConfigDict(toml_file=config), "__module__": __name__})
    try:
        settings: Settings = chosen(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as exc:
        lines = [f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors()]
        raise InvalidSettings("; ".join(lines)) from exc
    except tomllib.TOMLDecodeError as exc:
        raise InvalidSettings(f"{config}: {exc}") from exc
    return settings
