# SPDX-License-Identifier: Apache-2.0
"""The certificate in use: given or of Tirta's own authority, replaced before it ends, taken by who is listening.

tls/server.pem     private key and chain in use
tls/ca.pem, ca.key the authority
tls/devices.json   what was given to devices
tls/devices.crl    what of it counts no more

Invariant: what is in use stays in use until something better is there; a renewal that fails is told and tried again.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.broker_config import CIPHERS, BrokerCertificates
from gateway.errors import GatewayError
from gateway.processes import write_private
from tirta.certificates.authority import Authority
from tirta.certificates.devices import DeviceCertificates, Given
from tirta.certificates.names import machine_names
from tirta.certificates.server import ServerCertificate, read_given, read_server
from tirta.errors import CertificateUnfit

__all__ = ["CertificateConfig", "Certificates", "utc_now"]

logger = logging.getLogger(__name__)

_LOOK_S: Final = 5.0  # between two looks at the files, the time and this machine's addresses [s]
_FELT: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class CertificateConfig:
    """Where the certificate comes from.

    Attributes
    ----------
    folder : Path
        The files above.
    certificate, key : Path or None
        One that somebody else made and renews: its chain, and its key where that is not in the same file.
    names : tuple of str
        What Tirta's own certificates stand for; empty: the machine's names and addresses as they are.
    days : int
        How long Tirta's own certificates count; a third before the end another takes their place. [d]
    """

    folder: Path
    certificate: Path | None = None
    key: Path | None = None
    names: tuple[str, ...] = ()
    days: int = 90


def utc_now() -> datetime:
    """Return the wall's time."""
    return datetime.now(UTC)


class Certificates:
    """Keeps the certificate in use.

    Parameters
    ----------
    config : CertificateConfig
        Where it comes from.
    now : callable
        The wall's time in UTC: certificates never live by a fast clock.
    find_names : callable
        The machine's names and addresses.
    """

    def __init__(
        self,
        config: CertificateConfig,
        now: Callable[[], datetime] = utc_now,
        find_names: Callable[[], tuple[str, ...]] = machine_names,
    ) -> None:
        self.config = config
        self.file = config.folder / "server.pem"
        self.trouble = ""
        self._now = now
        self._find_names = find_names
        self._context: ssl.SSLContext | None = None
        self._used: ServerCertificate | None = None
        self._changing = threading.Lock()  # of what devices were given: one change after the other

    @property
    def names(self) -> tuple[str, ...]:
        """The names and addresses that an own certificate has to carry."""
        return self.config.names or self._find_names()

    @property
    def used(self) -> ServerCertificate:
        """The one in use, once opened."""
        assert self._used is not None
        return self._used

    @property
    def problem(self) -> str:
        """What is wrong where it will be felt: no new one, and the one in use ends within a week."""
        return self.trouble if self.trouble and self._now() >= self.used.ends - _FELT else ""

    @property
    def context(self) -> ssl.SSLContext:
        """For a listener, TLS 1.2 or later; a renewal counts for every handshake after it."""
        assert self._context is not None
        return self._context

    @property
    def devices(self) -> DeviceCertificates:
        """Those of devices.

        Raises
        ------
        CertificateUnfit
            There is no authority.
        """
        return DeviceCertificates(self.config.folder, Authority(self.config.folder))

    def open(self) -> None:
        """Have a certificate in use, made or renewed where that is due.

        Raises
        ------
        CertificateUnfit
            There is none that can be used; the message says what to do.
        """
        self._refresh()
        found = read_server(self.file)
        if found is None:
            raise CertificateUnfit(f"{self.file} cannot be read back; look whether its folder can be written")
        try:
            self._use(found)
        except ssl.SSLError as exc:
            raise CertificateUnfit(f"the certificate in {self.file} cannot be served: {exc.reason}; use another key") from exc

    def look(self) -> bool:
        """Renew what is due and take what changed; tell whether another certificate is in use.

        What fails is kept in `trouble`, told once, and the one in use stays.
        """
        return self._take(self._find())

    def _find(self) -> ServerCertificate | None:
        """Renew what is due; return another certificate than the one in use, where there is one."""
        try:
            self._refresh()
        except (CertificateUnfit, OSError) as exc:
            self._tell(str(exc))
        else:
            self._tell("")
        found = read_server(self.file)
        return None if found is None or found.pem == self.used.pem else found

    def _take(self, found: ServerCertificate | None) -> bool:
        if found is None:
            return False
        try:
            self._use(found)
        except OSError as exc:
            self._tell(f"the new one cannot be served: {exc}")
            return False
        logger.info("another certificate is in use, until %s", found.ends.isoformat(), extra={"action": "certificate_taken"})
        return True

    async def watch(
        self, on_change: Callable[[], Awaitable[object]], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """Look again and again, until cancelled; `on_change` has the broker take what is new, and is called until it does."""
        told = True
        while True:
            await sleep(_LOOK_S)
            # Files and signing in a thread; the context is changed between handshakes, never during one.
            if self._take(await asyncio.to_thread(self._find)):
                told = False
            if told:
                continue
            try:
                await on_change()
            except (GatewayError, CertificateUnfit, OSError) as exc:
                logger.warning("the broker does not take its certificate yet: %s", exc, extra={"action": "certificate_waits"})
            else:
                told = True

    def renew(self) -> ServerCertificate:
        """Make another certificate now, due or not; a running service takes it by itself.

        Raises
        ------
        CertificateUnfit
            It is given and renewed by whoever gave it, or the authority cannot sign.
        """
        if self.config.certificate is not None:
            raise CertificateUnfit(
                f"the certificate is given: put a new one into {self.config.certificate}; it is taken by itself"
            )
        self._sign()
        renewed = read_server(self.file)
        assert renewed is not None
        return renewed

    def due(self, there: ServerCertificate | None, authority: Authority) -> str | None:
        """Say why Tirta's own certificate has to be made anew, or None."""
        if there is None:
            return "there is none"
        if not there.is_signed_by(authority.certificate):
            return "the authority is another"
        if missing := there.missing(self._names_for(authority)):
            return f"it does not stand for {', '.join(missing)}"
        if self._now() >= there.renew_from():
            return f"it ends at {there.ends.isoformat()}"
        return None

    def broker_certificates(self) -> BrokerCertificates:
        """Return what the broker needs: the one in use, and the authority's word about devices where there is one."""
        try:
            devices = self.devices
        except CertificateUnfit:
            return BrokerCertificates(self.used.pem)
        return BrokerCertificates(self.used.pem, devices.authority.pem, devices.revoked_pem)

    def settle(self, usernames: Collection[str]) -> bool:
        """Revoke certificates of devices that are not among `usernames`; tell whether the broker has to be told.

        Raises
        ------
        CertificateUnfit
            As for `DeviceCertificates.settle`.
        """
        try:
            devices = self.devices
        except CertificateUnfit:
            return False
        with self._changing:
            return devices.settle(usernames, self._now())

    def given_to_devices(self) -> list[Given]:
        """Return what devices were given and has not ended; none where there is no authority."""
        try:
            devices = self.devices
        except CertificateUnfit:
            return []
        return devices.given()

    def revoke_device(self, username: str) -> bool:
        """Revoke what a device was given; tell whether the broker has to be told."""
        with self._changing:
            holders = {one.username for one in self.given_to_devices()}
            return username in holders and self.devices.settle(holders - {username}, self._now())

    def sign_device(self, username: str, request: str) -> str:
        """Give a device a certificate; see `DeviceCertificates.sign`."""
        with self._changing:
            return self.devices.sign(username, request, self._now())

    def _refresh(self) -> None:
        """Have the file hold what should be in use."""
        config = self.config
        if config.certificate is not None:
            given = read_given(config.certificate, config.key, self._now())
            there = read_server(self.file)
            if there is None or there.pem != given.pem:
                self._write(given.pem)
            return
        authority = Authority(config.folder)
        there = read_server(self.file)
        if reason := self.due(there, authority):
            logger.info("a new certificate is made: %s", reason, extra={"action": "certificate_renewed"})
            self._sign(authority)

    def _sign(self, authority: Authority | None = None) -> None:
        authority = authority or Authority(self.config.folder)
        names = self._names_for(authority)
        self._write(authority.sign_server(names, self._now(), timedelta(days=self.config.days)))

    def _names_for(self, authority: Authority) -> tuple[str, ...]:
        """Return the names to be signed for: an address found on the machine that is outside must not stop a renewal."""
        if self.config.names:
            return self.config.names
        found = self._find_names()
        outside = authority.outside(found)
        return tuple(name for name in found if name not in outside)

    def _write(self, pem: str) -> None:
        self.config.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self.file, pem)

    def _use(self, certificate: ServerCertificate) -> None:
        if self._context is None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2
            self._context.set_ciphers(CIPHERS)
            self._context.set_alpn_protocols(["http/1.1"])
        self._context.load_cert_chain(self.file)
        self._used = certificate

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            logger.warning("the certificate: %s", trouble, extra={"action": "certificate_trouble"})
        elif self.trouble and not trouble:
            logger.info("the certificate is well again", extra={"action": "certificate_well"})
        self.trouble = trouble
