# SPDX-License-Identifier: Apache-2.0
"""Generate mosquitto's files: configuration, passwords, rights; pure text, written for mosquitto 2.0.11 and later.

Nobody is anonymous, each user name is its own client id (so nobody can take another's session), a device writes and reads
only under its own prefix and in the directions of the wire contract, and every queue has a number. Two options never
appear: set_tcp_nodelay (bursts fall apart, half the rate) and message_size_limit (acknowledges and throws away).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.credentials import CONTROL, INGEST
from gateway.processes import write_private

__all__ = [
    "CIPHERS",
    "BrokerCertificates",
    "BrokerFiles",
    "BrokerLimits",
    "SecureListeners",
    "acl_text",
    "configuration_text",
    "passwords_text",
]

_PREFIX = "tirta/v1"
_DEVICE_WRITES = ("telemetry", "status", "ack", "reported")
_DEVICE_READS = ("command", "config", "stored", "error")
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of 1.3 are all sound
_ROLES: dict[str, tuple[tuple[str, str], ...]] = {
    INGEST: (("read", "telemetry"), ("write", "stored"), ("write", "error")),
    CONTROL: (("read", "status"), ("read", "ack"), ("read", "reported"), ("write", "command"), ("write", "config")),
}


@dataclass(frozen=True, slots=True)
class BrokerLimits:
    """The broker's bounds.

    Attributes
    ----------
    max_connections : int
        Further clients are refused.
    max_queued_messages, max_queued_bytes : int
        Held for one client that is away; mosquitto throws away silently beyond either. [count, bytes]
    max_packet_size : int
        A larger packet ends the sender's connection. [bytes]
    memory_limit : int
        The broker refuses publishes beyond it. [bytes]
    max_keepalive_s : int
        Longest silence granted to an MQTT 5 client. [s]
    autosave_s : int
        Between two copies of sessions and queues to disk: what came since is lost when the broker is killed. Not shorter,
        for each copy writes all of them anew, and mosquitto serves nobody meanwhile. [s]
    session_expiry_days : int
        A session whose client stays away is forgotten. [d]
    """

    max_connections: int = 20_000
    max_queued_messages: int = 1_000_000
    max_queued_bytes: int = 256 * 1024 * 1024
    max_packet_size: int = 2 * 1024 * 1024
    memory_limit: int = 1024 * 1024 * 1024
    max_keepalive_s: int = 600
    autosave_s: int = 60
    session_expiry_days: int = 14


@dataclass(frozen=True, slots=True)
class SecureListeners:
    """Where the broker listens with TLS, as (host, port); None: not at all.

    Attributes
    ----------
    passwords : (str, int) or None
        For devices with user name and password.
    certificates : (str, int) or None
        For devices that show a certificate instead: its common name is their user name.
    """

    passwords: tuple[str, int] | None = None
    certificates: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class BrokerCertificates:
    """What the broker proves itself by, and by what it knows devices; all PEM.

    Attributes
    ----------
    server : str
        Private key and certificate chain, in one file, so that they are always of one kind.
    authority : str
        The certificate by which those of devices are judged; empty where none are taken.
    revoked : str
        The list of those that count no more; empty as above.
    """

    server: str = field(repr=False)
    authority: str = ""
    revoked: str = ""


@dataclass(frozen=True, slots=True)
class BrokerFiles:
    """Where the broker finds its files, as the broker's own process sees the folder."""

    folder: Path

    @property
    def configuration(self) -> Path:
        """The main file."""
        return self.folder / "mosquitto.conf"

    @property
    def passwords(self) -> Path:
        """User names and hashes."""
        return self.folder / "mosquitto.passwd"

    @property
    def acl(self) -> Path:
        """Rights."""
        return self.folder / "mosquitto.acl"

    @property
    def certificate(self) -> Path:
        """Its private key and certificate."""
        return self.folder / "server.pem"

    @property
    def authority(self) -> Path:
        """By what certificates of devices are judged."""
        return self.folder / "devices-ca.pem"

    @property
    def revoked(self) -> Path:
        """Certificates of devices that count no more."""
        return self.folder / "devices.crl"

    def write_certificates(self, certificates: BrokerCertificates) -> None:
        """Write the three files above; the broker takes them when it starts or is sent SIGHUP."""
        for path, text in (
            (self.certificate, certificates.server),
            (self.authority, certificates.authority),
            (self.revoked, certificates.revoked),
        ):
            if text:
                write_private(path, text)

    @property
    def store(self) -> Path:
        """Folder of the sessions and queues."""
        return self.folder / "store"


def configuration_text(
    files: BrokerFiles,
    *,
    host: str,
    port: int,
    limits: BrokerLimits,
    log: Path | None,
    user: str | None,
    secure: SecureListeners = SecureListeners(),
) -> str:
    """Write the main file.

    Parameters
    ----------
    log : Path or None
        File that mosquitto logs to (and opens anew on SIGHUP); None logs to stderr.
    user : str or None
        Account to run as when started as root: without it mosquitto becomes another user, can't read its own folder and
        loses its database without a word. None where it is not started as root.
    secure : SecureListeners
        Where it listens with TLS besides.
    """
    lines = [
        "# Written by Tirta at each start; changes made here are lost.",
        "per_listener_settings false",
        "allow_anonymous false",
        "allow_zero_length_clientid true",  # the user name takes its place anyway
        f"password_file {files.passwords}",
        f"acl_file {files.acl}",
        "persistence true",
        f"persistence_location {files.store}/",
        f"autosave_interval {limits.autosave_s}",
        f"persistent_client_expiration {limits.session_expiry_days}d",
        f"max_queued_messages {limits.max_queued_messages}",
        f"max_queued_bytes {limits.max_queued_bytes}",
        "max_inflight_messages 0",
        f"max_packet_size {limits.max_packet_size}",
        f"memory_limit {limits.memory_limit}",
        f"max_keepalive {limits.max_keepalive_s}",
        "queue_qos0_messages false",
        "sys_interval 0",
        "connection_messages false",
        f"log_dest file {log}" if log is not None else "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "log_type information",
        "log_timestamp_format %Y-%m-%dT%H:%M:%S",
        *([f"user {user}"] if user is not None else []),
        *_listener((host, port), limits),
    ]
    own = [f"certfile {files.certificate}", f"keyfile {files.certificate}", "tls_version tlsv1.2", f"ciphers {CIPHERS}"]
    if secure.passwords is not None:
        lines += [*_listener(secure.passwords, limits), *own]
    if secure.certificates is not None:
        lines += [*_listener(secure.certificates, limits), *own]
        lines += ["require_certificate true", "use_identity_as_username true"]
        lines += [f"cafile {files.authority}", f"crlfile {files.revoked}"]
    return "\n".join(lines) + "\n"


def _listener(where: tuple[str, int], limits: BrokerLimits) -> list[str]:
    host, port = where
    return [f"listener {port} {host}", f"max_connections {limits.max_connections}", "use_username_as_clientid true"]


def passwords_text(users: Mapping[str, str]) -> str:
    """Write the password file from user names and hashes."""
    return "".join(f"{username}:{hashed}\n" for username, hashed in sorted(users.items()))


def acl_text() -> str:
    """Write the rights: the same for all devices (%u is the user name), each role by name."""
    lines = ["# A device, under its own prefix: %u is {site}/{device}."]
    lines += [f"pattern write {_PREFIX}/%u/{channel}" for channel in _DEVICE_WRITES]
    lines += [f"pattern read {_PREFIX}/%u/{channel}" for channel in _DEVICE_READS]
    for role, rights in _ROLES.items():
        lines += ["", f"user {role}"]
        lines += [f"topic {access} {_PREFIX}/+/+/{channel}" for access, channel in rights]
    return "\n".join(lines) + "\n"
