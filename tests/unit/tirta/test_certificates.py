# SPDX-License-Identifier: Apache-2.0
"""The authority, the certificates it makes and those that are given, and when another is due; by a clock that is held."""

from __future__ import annotations

import ipaddress
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.servers.certificates import Signer, request_pem, write_pair
from tirta.certificates import Authority, Certificates, DeviceCertificates, machine_names
from tirta.certificates.keeper import CertificateConfig
from tirta.certificates.names import missing_names
from tirta.certificates.server import read_given, read_server
from tirta.errors import CertificateUnfit

NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
DAY = timedelta(days=1)
LOCALHOST = (x509.DNSName("localhost"),)
DEVICE = "taman-kota/bedeng-1"


class Wall:
    """A time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path, ["tirta.balikpapan.example"], NOW)


@pytest.fixture
def kept(tmp_path: Path, authority: Authority, wall: Wall) -> Certificates:
    certificates = Certificates(CertificateConfig(tmp_path), wall, lambda: ("tirta.lan", "192.168.1.10"))
    certificates.open()
    return certificates


def test_make_keeps_the_key_apart_and_for_the_owner_only(tmp_path: Path, authority: Authority) -> None:
    assert authority.key_mode == 0o600
    assert "PRIVATE" not in authority.certificate_file.read_text()
    assert "PRIVATE" in (tmp_path / "ca.key").read_text()


def test_make_where_one_is_sets_it_aside(tmp_path: Path, authority: Authority) -> None:
    another = Authority.make(tmp_path, [], NOW)

    assert another.pem != authority.pem
    assert (tmp_path / "ca.pem.old").read_text() == authority.pem
    assert (tmp_path / "ca.key.old").exists()


def test_authority_may_sign_for_this_network_and_not_for_the_world(authority: Authority) -> None:
    inside = ["tirta.lan", "box.local", "192.168.1.10", "10.2.3.4", "fd00::1", "tirta.balikpapan.example"]

    assert authority.outside(inside) == []
    assert authority.outside(["example.org", "8.8.8.8", "notlan"]) == ["example.org", "8.8.8.8", "notlan"]
    with pytest.raises(CertificateUnfit, match=r"may not sign for example\.org"):
        authority.sign_server(["tirta.lan", "example.org"], NOW, DAY)


def test_authority_without_its_key_says_what_to_put_back(authority: Authority) -> None:
    authority.key_file.unlink()

    assert authority.key_mode is None
    with pytest.raises(CertificateUnfit, match="put it back"):
        authority.sign_server(["tirta.lan"], NOW, DAY)


def test_authority_with_another_key_does_not_sign(authority: Authority) -> None:
    authority.key_file.write_text(Signer.root().key_pem)

    with pytest.raises(CertificateUnfit, match="not the key of"):
        authority.sign_server(["tirta.lan"], NOW, DAY)


def test_authority_that_has_ended_says_so(authority: Authority) -> None:
    with pytest.raises(CertificateUnfit, match="the authority ended"):
        authority.sign_server(["tirta.lan"], NOW + 4000 * DAY, DAY)


def test_authority_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(CertificateUnfit, match="tirta init --tls"):
        Authority(tmp_path / "none")


def test_open_makes_a_certificate_for_the_names_and_this_machine(kept: Certificates, authority: Authority) -> None:
    assert set(kept.used.names) == {"tirta.lan", "192.168.1.10", "localhost", "127.0.0.1", "::1"}
    assert kept.used.is_signed_by(authority.certificate)
    assert kept.used.ends == NOW + 90 * DAY
    assert kept.file.stat().st_mode & 0o777 == 0o600


def test_look_before_two_thirds_of_its_life_leaves_it(kept: Certificates, wall: Wall) -> None:
    before = kept.used.pem
    wall.now = NOW + 59 * DAY

    assert not kept.look()
    assert kept.used.pem == before


def test_look_after_two_thirds_of_its_life_renews_it(kept: Certificates, wall: Wall) -> None:
    before = kept.used
    wall.now = NOW + 60 * DAY

    assert kept.look()
    assert kept.used.pem != before.pem
    assert kept.used.ends == wall.now + 90 * DAY
    assert not kept.look()


def test_look_after_a_change_of_address_renews_it(tmp_path: Path, authority: Authority, wall: Wall) -> None:
    names = ["tirta.lan"]
    certificates = Certificates(CertificateConfig(tmp_path), wall, lambda: tuple(names))
    certificates.open()
    names.append("192.168.1.77")

    assert certificates.look()
    assert "192.168.1.77" in certificates.used.names


def test_look_with_a_found_address_outside_the_authority_renews_for_the_others(
    tmp_path: Path, authority: Authority, wall: Wall
) -> None:
    certificates = Certificates(CertificateConfig(tmp_path), wall, lambda: ("tirta.lan", "8.8.8.8"))
    certificates.open()
    wall.now = NOW + 60 * DAY

    assert certificates.look()
    assert "tirta.lan" in certificates.used.names
    assert "8.8.8.8" not in certificates.used.names


def test_open_with_a_configured_name_outside_the_authority_is_refused(tmp_path: Path, authority: Authority) -> None:
    with pytest.raises(CertificateUnfit, match="may not sign for"):
        Certificates(CertificateConfig(tmp_path, names=("example.org",))).open()


def test_look_where_it_cannot_be_renewed_keeps_it_and_says_why(kept: Certificates, authority: Authority, wall: Wall) -> None:
    key = authority.key_file.read_text()
    before = kept.used.pem
    authority.key_file.unlink()
    wall.now = NOW + 80 * DAY

    assert not kept.look()
    assert kept.used.pem == before
    assert "put it back" in kept.trouble
    assert kept.problem == ""  # ten days are left
    wall.now = NOW + 84 * DAY
    assert kept.problem == kept.trouble

    authority.key_file.write_text(key)
    assert kept.look()
    assert kept.trouble == ""


def test_look_after_the_authority_was_replaced_takes_one_of_the_new(kept: Certificates, tmp_path: Path) -> None:
    another = Authority.make(tmp_path, [], NOW)

    assert kept.look()
    assert kept.used.is_signed_by(another.certificate)


def test_renew_is_seen_by_who_looks(kept: Certificates, tmp_path: Path, wall: Wall) -> None:
    other = Certificates(CertificateConfig(tmp_path), wall, lambda: ("tirta.lan", "192.168.1.10"))
    renewed = other.renew()

    assert kept.look()
    assert kept.used.pem == renewed.pem


def test_given_certificate_is_taken_and_followed(tmp_path: Path) -> None:
    root = Signer.root()
    between = root.below("between")
    certificate, key = write_pair(tmp_path, between.server(LOCALHOST, fetched=True), between)
    certificates = Certificates(CertificateConfig(tmp_path / "tls", certificate, key))
    certificates.open()

    assert certificates.used.names == ("localhost",)
    assert len(certificates.used.chain) == 2
    assert not certificates.look()

    write_pair(tmp_path, between.server((x509.DNSName("tirta.example"),)), between)
    assert certificates.look()
    assert certificates.used.names == ("tirta.example",)
    with pytest.raises(CertificateUnfit, match="the certificate is given"):
        certificates.renew()


def test_given_certificate_that_turns_bad_leaves_the_one_in_use(tmp_path: Path) -> None:
    certificate, key = write_pair(tmp_path, Signer.root().server(LOCALHOST))
    certificates = Certificates(CertificateConfig(tmp_path / "tls", certificate, key))
    certificates.open()
    before = certificates.used.pem
    certificate.write_text("half a fi")

    assert not certificates.look()
    assert "no certificate in PEM" in certificates.trouble
    assert certificates.used.pem == before


def _given(folder: Path, server: Signer, *above: Signer) -> None:
    read_given(*write_pair(folder, server, *above), datetime.now(UTC))


def test_given_certificate_with_another_key_is_refused(tmp_path: Path) -> None:
    root = Signer.root()
    certificate, _ = write_pair(tmp_path, root.server(LOCALHOST))
    (tmp_path / "other.key").write_text(root.server(LOCALHOST).key_pem)

    with pytest.raises(CertificateUnfit, match="does not belong to"):
        read_given(certificate, tmp_path / "other.key", NOW)


def test_given_certificate_that_has_ended_or_not_begun_is_refused(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with pytest.raises(CertificateUnfit, match=r"ended at .*; put a new one there"):
        _given(tmp_path, Signer.root().server(LOCALHOST, begins=now - 2 * DAY, ends=now - DAY))
    with pytest.raises(CertificateUnfit, match="is the clock right"):
        _given(tmp_path, Signer.root().server(LOCALHOST, begins=now + DAY, ends=now + 2 * DAY))


def test_given_certificate_without_a_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CertificateUnfit, match="names no host or address"):
        _given(tmp_path, Signer.root().server(()))


def test_given_certificate_for_clients_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CertificateUnfit, match="not meant for a server"):
        _given(tmp_path, Signer.root().server(LOCALHOST, use=ExtendedKeyUsageOID.CLIENT_AUTH))


def test_given_chain_that_ends_too_early_or_is_out_of_order_is_refused(tmp_path: Path) -> None:
    root = Signer.root()
    between = root.below("between")
    server = between.server(LOCALHOST, fetched=True)

    with pytest.raises(CertificateUnfit, match="is not complete: put that of CN=between"):
        _given(tmp_path, server)
    with pytest.raises(CertificateUnfit, match="breaks after CN=server"):
        _given(tmp_path, server, root, between)


def test_given_files_that_cannot_be_read_are_refused_with_what_to_do(tmp_path: Path) -> None:
    certificate, key = write_pair(tmp_path, Signer.root().server(LOCALHOST))
    with pytest.raises(CertificateUnfit, match="cannot be read: No such file"):
        read_given(tmp_path / "none.pem", key, NOW)
    with pytest.raises(CertificateUnfit, match="no private key in PEM"):
        read_given(certificate, certificate, NOW)
    certificate.write_bytes(b" " * 300_000)
    with pytest.raises(CertificateUnfit, match="larger than"):
        read_given(certificate, key, NOW)


def test_given_key_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    server = Signer.root().server(LOCALHOST)
    certificate, key = write_pair(tmp_path, server)
    how = serialization.BestAvailableEncryption(b"secret")
    key.write_bytes(server.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how))

    with pytest.raises(CertificateUnfit, match="has a passphrase"):
        read_given(certificate, key, NOW)


def test_read_server_of_half_a_file_is_none(kept: Certificates) -> None:
    kept.file.write_text(kept.used.pem[:400])

    assert read_server(kept.file) is None
    assert kept.look()  # made anew
    assert read_server(kept.file) is not None


def test_missing_names_takes_a_wildcard_for_one_label_only() -> None:
    there = [x509.DNSName("*.lan"), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))]

    assert missing_names(["tirta.lan", "10.0.0.1"], there) == []
    assert missing_names(["a.b.lan", "lan", "10.0.0.2", "TIRTA.LAN"], there) == ["a.b.lan", "lan", "10.0.0.2"]


@pytest.mark.parametrize("name", ["", "a b", "-x", "tirta..lan", "x/24", "10.0.0.0/8", "ä.lan", "a" * 64])
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(CertificateUnfit, match="neither a host name nor an address"):
        missing_names([name], [])


def test_machine_names_can_all_stand_in_a_certificate() -> None:
    assert missing_names(machine_names(), []) == list(machine_names())


def test_sign_device_gives_the_login_as_its_name_whatever_was_asked(tmp_path: Path, authority: Authority) -> None:
    pem = DeviceCertificates(tmp_path, authority).sign(DEVICE, request_pem(), NOW)

    certificate = x509.load_pem_x509_certificate(pem.encode())
    assert [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [DEVICE]
    uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate.verify_directly_issued_by(authority.certificate)


def test_sign_device_again_revokes_the_one_before(tmp_path: Path, authority: Authority) -> None:
    devices = DeviceCertificates(tmp_path, authority)
    first = x509.load_pem_x509_certificate(devices.sign(DEVICE, request_pem(), NOW).encode())
    second = x509.load_pem_x509_certificate(devices.sign(DEVICE, request_pem(), NOW).encode())

    assert _revoked(devices) == {first.serial_number}
    assert [one.revoked for one in devices.given()] == [True, False]
    assert second.serial_number not in _revoked(devices)


def test_settle_revokes_who_is_not_registered_and_tells_once(tmp_path: Path, authority: Authority) -> None:
    devices = DeviceCertificates(tmp_path, authority)
    gone = x509.load_pem_x509_certificate(devices.sign(DEVICE, request_pem(), NOW).encode())
    devices.sign("taman-kota/bedeng-2", request_pem(), NOW)

    assert devices.settle({"taman-kota/bedeng-2"}, NOW)
    assert _revoked(devices) == {gone.serial_number}
    assert not devices.settle({"taman-kota/bedeng-2"}, NOW)


def test_settle_after_a_crash_between_book_and_list_puts_the_list_right(tmp_path: Path, authority: Authority) -> None:
    devices = DeviceCertificates(tmp_path, authority)
    devices.sign(DEVICE, request_pem(), NOW)
    before = devices.revoked_pem
    devices.settle((), NOW)
    (tmp_path / "devices.crl").write_text(before)

    assert devices.settle((), NOW)
    assert len(_revoked(devices)) == 1


def test_settle_at_the_first_start_writes_an_empty_list(tmp_path: Path, authority: Authority) -> None:
    devices = DeviceCertificates(tmp_path, authority)

    assert devices.settle((), NOW)
    assert _revoked(devices) == set()


def test_each_list_is_later_than_the_one_before_and_none_of_the_future(tmp_path: Path, authority: Authority) -> None:
    devices = DeviceCertificates(tmp_path, authority)
    issued = []
    for _ in range(5):
        devices.sign(DEVICE, request_pem(), NOW)
        issued.append(x509.load_pem_x509_crl(devices.revoked_pem.encode()).last_update_utc)

    assert issued == sorted(set(issued))
    assert issued[-1] < NOW


def test_what_has_ended_is_forgotten(tmp_path: Path, authority: Authority) -> None:
    devices = DeviceCertificates(tmp_path, authority)
    devices.sign(DEVICE, request_pem(), NOW)
    devices.sign(DEVICE, request_pem(), NOW + 800 * DAY)

    assert len(json.loads((tmp_path / "devices.json").read_text())) == 1
    assert _revoked(devices) == set()


@pytest.mark.parametrize("request_text", ["", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n", "é", "x" * 20_000])
def test_sign_device_with_a_request_that_is_none_is_refused(tmp_path: Path, authority: Authority, request_text: str) -> None:
    with pytest.raises(CertificateUnfit, match="signing request"):
        DeviceCertificates(tmp_path, authority).sign(DEVICE, request_text, NOW)


def test_sign_device_with_too_long_a_login_is_refused(tmp_path: Path, authority: Authority) -> None:
    with pytest.raises(CertificateUnfit, match="signs in by password"):
        DeviceCertificates(tmp_path, authority).sign(f"{'s' * 64}/{'d' * 64}", request_pem(), NOW)


def _revoked(devices: DeviceCertificates) -> set[int]:
    return {one.serial_number for one in x509.load_pem_x509_crl(devices.revoked_pem.encode())}
