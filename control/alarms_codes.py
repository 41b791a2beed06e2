# SPDX-License-Identifier: Apache-2.0
"""What there are alarms for: one row a code, with its weight, its patience and its words.

Invariants: every code has its words in both languages; a code keeps its meaning for ever. To add an alarm, add a row here and
something that finds its cause; nothing else knows the codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

__all__ = ["CODES", "SEVERITIES", "AlarmCode", "Severity"]

Severity = Literal["info", "warning", "critical"]

SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")


@dataclass(frozen=True, slots=True)
class AlarmCode:
    """One sort of alarm.

    Attributes
    ----------
    severity : str
        "info" (worth knowing), "warning" (somebody should look today), "critical" (somebody should look now).
    raise_after_s, clear_after_s : float
        How long its cause must have lasted, or have been gone, on the wall: what comes and goes is one alarm. [s]
    words : tuple of str
        The sentence in Indonesian and in English; names in braces stand for the alarm's details.
    """

    name: str
    severity: Severity
    raise_after_s: float
    clear_after_s: float
    words: tuple[str, str]


_ALL: Final = (
    AlarmCode(
        "broker-down",
        "critical",
        5.0,
        5.0,
        (
            "Broker tidak terhubung: perangkat tidak dapat mengirim data dan tidak dapat diperintah.",
            "The broker is not connected: devices can neither send nor be told anything.",
        ),
    ),
    AlarmCode(
        "session-lost",
        "warning",
        0.0,
        0.0,
        (
            "Broker kehilangan antreannya: data perangkat tanpa kotak keluar mungkin hilang ({count:.0f} kali sejak awal).",
            "The broker lost its queue: data of devices without an outbox may be lost ({count:.0f} times so far).",
        ),
    ),
    AlarmCode(
        "journal-stopped",
        "critical",
        0.0,
        5.0,
        (
            "Jurnal tidak menerima data: tidak ada yang dikonfirmasi, pengukuran menunggu di broker dan perangkat.",
            "The journal takes nothing: nothing is acknowledged, measurements wait at the broker and the devices.",
        ),
    ),
    AlarmCode(
        "journal-filling",
        "warning",
        0.0,
        30.0,
        (
            "Jurnal hampir penuh: {used:.0%} dari batasnya {bound_mib:.0f} MiB; ada penyimpanan yang tertinggal.",
            "The journal is filling: {used:.0%} of its bound of {bound_mib:.0f} MiB; a store is behind.",
        ),
    ),
    AlarmCode(
        "part-failing",
        "warning",
        5.0,
        10.0,
        ("Satu bagian layanan bermasalah: {part}.", "A part of the service is in trouble: {part}."),
    ),
    AlarmCode(
        "store-down",
        "warning",
        30.0,
        10.0,
        (
            "Penyimpanan {store} tidak menjawab: data menunggu di jurnal.",
            "The store {store} does not answer: data wait in the journal.",
        ),
    ),
    AlarmCode(
        "store-refused",
        "critical",
        0.0,
        10.0,
        (
            "Penyimpanan {store} menolak kita: perbaiki token, organisasi, atau bucket; data menunggu di jurnal.",
            "The store {store} refuses us: correct its token, organisation or bucket; data wait in the journal.",
        ),
    ),
    AlarmCode(
        "store-hole",
        "warning",
        0.0,
        0.0,
        (
            "Penyimpanan {store} berlubang: isi {positions:.0f} bagian jurnal tidak pernah sampai ke sana.",
            "The store {store} has a hole: what {positions:.0f} bursts of the journal held never came to it.",
        ),
    ),
    AlarmCode(
        "quarantine-growing",
        "warning",
        0.0,
        60.0,
        (
            "{records:.0f} rekaman masuk karantina dalam {minutes:.0f} menit terakhir.",
            "{records:.0f} records went to quarantine within {minutes:.0f} minutes.",
        ),
    ),
    AlarmCode(
        "quarantine-full",
        "warning",
        0.0,
        60.0,
        (
            "Karantina penuh ({used:.0%} dari {bound_mib:.0f} MiB): yang tertua dibuang.",
            "The quarantine is full ({used:.0%} of {bound_mib:.0f} MiB): its oldest are dropped.",
        ),
    ),
    AlarmCode(
        "disk-filling",
        "warning",
        0.0,
        30.0,
        (
            "Disk hampir penuh: terpakai {used:.0%}, sisa {free_mib:.0f} MiB.",
            "The disk is filling: {used:.0%} used, {free_mib:.0f} MiB free.",
        ),
    ),
    AlarmCode(
        "disk-full",
        "critical",
        0.0,
        30.0,
        (
            "Disk penuh: terpakai {used:.0%}, sisa {free_mib:.0f} MiB.",
            "The disk is full: {used:.0%} used, {free_mib:.0f} MiB free.",
        ),
    ),
    AlarmCode(
        "clock-unsynchronised",
        "warning",
        600.0,
        60.0,
        (
            "Jam server tidak disinkronkan: jadwal dan perangkat bergantung padanya.",
            "The server's clock is not synchronised: schedules and devices depend on it.",
        ),
    ),
    AlarmCode(
        "database-down",
        "critical",
        5.0,
        5.0,
        (
            "Basis data kendali tidak menjawab: tidak ada yang dijadwalkan atau diubah.",
            "The control database does not answer: nothing is planned or changed.",
        ),
    ),
    AlarmCode(
        "act-unknown",
        "warning",
        0.0,
        0.0,
        (
            "{title}: akhir tindakan pukul {at} belum pasti, jadi tidak ada lagi yang dijalankan; periksa, lalu pastikan.",
            "{title}: the end of the act of {at} is not known, and nothing else is done there; look, and settle it.",
        ),
    ),
    AlarmCode(
        "device-offline",
        "warning",
        0.0,
        0.0,
        (
            "{title}: tidak ada kabar selama lebih dari {limit_min:.0f} menit.",
            "{title}: no word for more than {limit_min:.0f} minutes.",
        ),
    ),
    AlarmCode(
        "devices-offline",
        "critical",
        0.0,
        60.0,
        (
            "{count:.0f} dari {of:.0f} perangkat dinas ini tidak memberi kabar.",
            "{count:.0f} of this agency's {of:.0f} devices give no word.",
        ),
    ),
    AlarmCode(
        "device-clock",
        "warning",
        0.0,
        60.0,
        (
            "{title}: waktu pengukurannya mustahil; jamnya salah, atau datanya terlalu lama.",
            "{title}: its records have impossible times; its clock is wrong, or they are too old.",
        ),
    ),
    AlarmCode(
        "devices-clock",
        "critical",
        0.0,
        60.0,
        (
            "Jam {count:.0f} dari {of:.0f} perangkat dinas ini salah; periksa juga jam server.",
            "The clocks of {count:.0f} of this agency's {of:.0f} devices are wrong; look at the server's too.",
        ),
    ),
    AlarmCode(
        "config-refused",
        "warning",
        0.0,
        0.0,
        (
            "{title}: perangkat menolak bagian dari konfigurasinya: {keys}.",
            "{title}: the device refuses a part of its configuration: {keys}.",
        ),
    ),
    AlarmCode(
        "water-budget",
        "warning",
        0.0,
        0.0,
        (
            "Anggaran air bulan {month}: {given_l:.0f} dari {budget_l:.0f} L sudah terpakai ({share:.0%}).",
            "The water of {month}: {given_l:.0f} of {budget_l:.0f} L are given ({share:.0%}).",
        ),
    ),
    AlarmCode(
        "water-budget-spent",
        "critical",
        0.0,
        0.0,
        (
            "Anggaran air bulan {month} habis ({budget_l:.0f} L): tidak ada penyiraman sampai bulan depan atau ditambah.",
            "The water of {month} is spent ({budget_l:.0f} L): nothing is watered until the next month, or until it is raised.",
        ),
    ),
    AlarmCode(
        "leak",
        "critical",
        0.0,
        0.0,
        (
            "{title}: air mengalir {l_min:.1f} L/menit padahal semua katup tertutup.",
            "{title}: {l_min:.1f} L/min flow though every valve is shut.",
        ),
    ),
    AlarmCode(
        "burst",
        "critical",
        0.0,
        0.0,
        (
            "{title}: debit {flow_l_min:.1f} L/menit, seharusnya {rated_l_min:.1f}; pipa pecah atau bocor.",
            "{title}: flow of {flow_l_min:.1f} L/min where it should be {rated_l_min:.1f}; a pipe has burst or leaks.",
        ),
    ),
    AlarmCode(
        "clogged",
        "warning",
        0.0,
        0.0,
        (
            "{title}: debit hanya {flow_l_min:.1f} L/menit, seharusnya {rated_l_min:.1f}; tersumbat.",
            "{title}: flow of only {flow_l_min:.1f} L/min where it should be {rated_l_min:.1f}; clogged.",
        ),
    ),
    AlarmCode(
        "no-water",
        "warning",
        0.0,
        0.0,
        ("{title}: tidak ada air yang mengalir saat disiram.", "{title}: no water flowed when it was watered."),
    ),
    AlarmCode(
        "jam",
        "warning",
        0.0,
        0.0,
        ("{title}: pelontar pakan macet.", "{title}: the feeder jammed."),
    ),
    AlarmCode(
        "hopper-empty",
        "warning",
        0.0,
        0.0,
        ("{title}: wadah pakan kosong.", "{title}: the hopper is empty."),
    ),
    AlarmCode(
        "not-fed",
        "warning",
        0.0,
        0.0,
        (
            "{title}: pakan tidak keluar ({fell_g:.0f} g dari {expected_g:.0f} g).",
            "{title}: feed did not fall ({fell_g:.0f} g of {expected_g:.0f} g).",
        ),
    ),
    AlarmCode(
        "overfed",
        "critical",
        0.0,
        0.0,
        (
            "{title}: pakan terlalu banyak ({fell_g:.0f} g, seharusnya {expected_g:.0f} g).",
            "{title}: too much feed fell ({fell_g:.0f} g where it should be {expected_g:.0f} g).",
        ),
    ),
    AlarmCode(
        "zone-held",
        "warning",
        0.0,
        0.0,
        (
            "{title} ditahan: {disproved:.0f} tindakan berturut-turut tidak terbukti; periksa, lalu lepaskan.",
            "{title} is held: {disproved:.0f} acts in a row had no effect; look, then release it.",
        ),
    ),
)

CODES: Final[Mapping[str, AlarmCode]] = MappingProxyType({code.name: code for code in _ALL})
