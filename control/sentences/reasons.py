# SPDX-License-Identifier: Apache-2.0
"""The words of each reason of the rules; numbers are those that the rule saw.

Invariant: of several reasons that hold something back, the first in this order is told.
"""

from __future__ import annotations

from typing import Final

from control.sentences.numbers import Words

__all__ = ["ACTING", "LESSENING", "REASONS"]

ACTING: Final = ("dry", "latched", "meal-due", "run-due", "carried")  # why an act happens
LESSENING: Final = (  # why it is less than was wanted
    "oxygen-unknown",
    "oxygen-reduced",
    "ration-clipped",
    "budget-clipped",
    "month-clipped",
    "max-run-clipped",
    "interlock",
)
# Why not, or why less; the first that holds is told.
REASONS: Final[dict[str, Words]] = {
    "interlock": ("pengaman menahan atau memotong perintah", "the last safety check refused or cut it"),
    "invalid-parameter": ("parameter zona belum lengkap atau salah", "a parameter of the zone is missing or wrong"),
    "invalid-state": ("catatan zona tidak dapat dipakai", "the zone's record is not usable"),
    "disabled": ("jadwal dimatikan", "the schedule is switched off"),
    "disproved": (
        "{disproved:.0f} tindakan berturut-turut tidak terbukti; periksa, lalu lepaskan zonanya",
        "{disproved:.0f} acts in a row had no effect; look, then release the zone",
    ),
    "skipped-once": ("dilewati sekali{skipped_once}", "skipped once{skipped_once}"),
    "paused": ("dijeda{paused}", "paused{paused}"),
    "rain-delay": ("ditunda karena hujan{rain_delay}", "put off because of rain{rain_delay}"),
    "rain-fallen": (
        "hujan {rain_fallen_mm:.1f} mm sudah turun dalam {rain_hours:.0f} jam, batas {rain_limit_mm:.1f} mm",
        "{rain_fallen_mm:.1f} mm of rain fell in {rain_hours:.0f} h, the limit is {rain_limit_mm:.1f} mm",
    ),
    "rain-expected": (
        "prakiraan hujan {rain_expected_mm:.1f} mm dalam {rain_hours:.0f} jam, batas {rain_limit_mm:.1f} mm "
        "({forecast}, terbit {forecast_age_s:span} lalu)",
        "{rain_expected_mm:.1f} mm of rain are forecast for {rain_hours:.0f} h, the limit is {rain_limit_mm:.1f} mm "
        "({forecast}, issued {forecast_age_s:span} ago)",
    ),
    "offline": ("perangkat tidak terhubung", "the device is not connected"),
    "unsettled": ("hasil tindakan sebelumnya belum pasti", "the end of an earlier act is not known"),
    "busy": ("tindakan lain sedang berjalan", "an act is under way"),
    "no-reading": ("belum ada pembacaan sensor", "there is no reading of the sensor"),
    "stale-reading": ("pembacaan sensor sudah {age_s:span}", "the sensor's reading is {age_s:span} old"),
    "low-oxygen": (
        "oksigen terlarut {dissolved_oxygen:.1f} mg/L, batas {oxygen_stop:.1f}",
        "dissolved oxygen is {dissolved_oxygen:.1f} mg/L, the limit {oxygen_stop:.1f}",
    ),
    "oxygen-unknown": ("kadar oksigen tidak diketahui", "the oxygen is not known"),
    "meal-missed": ("jam pakan sudah lewat {late_s:span}", "the meal is {late_s:span} late"),
    "meal-gap": ("pakan terakhir baru {since_last_s:span} lalu", "the last meal was only {since_last_s:span} ago"),
    "grams-day-spent": (
        "jatah pakan hari ini {grams_day:.0f} g sudah habis",
        "the day's {grams_day:.0f} g of feed are spent",
    ),
    "season-out": ("bulan ini tidak disiram", "this month is not watered"),
    "budget-spent": (
        "jatah air hari ini {litres_day:.0f} L sudah habis",
        "the day's {litres_day:.0f} L of water are spent",
    ),
    "month-spent": (
        "anggaran air OPD bulan ini {month_budget:.0f} L sudah habis",
        "the agency's {month_budget:.0f} L of water for this month are spent",
    ),
    "valve-test": ("uji katup sedang berjalan", "a test of the valves is under way"),
    "flow-above-resource": (
        "debitnya {flow:.0f} L/menit, {resource_title} paling banyak {resource_flow:.0f}",
        "it takes {flow:.0f} L/min, {resource_title} gives at most {resource_flow:.0f}",
    ),
    "window-too-short": (
        "jam penyiraman terlalu pendek untuk semua siklusnya",
        "the allowed hours are too short for all its cycles",
    ),
    "no-room-in-window": (
        "sampai waktunya lewat tidak mendapat giliran di {resource_title}",
        "it did not get its turn on {resource_title} in time",
    ),
    "outside-hours": ("di luar jam yang diizinkan", "it is outside the allowed hours"),
    "outside-dates": ("di luar tanggal jadwal", "the schedule is not in force on this date"),
    "soaking": ("air masih meresap", "the water is still soaking in"),
    "queued": ("menunggu giliran di {resource_title}", "it waits for its turn on {resource_title}"),
    "below-useful-run": ("kekurangan air terlalu sedikit", "too little is missing to be worth a run"),
    "wet-enough": (
        "tanah masih cukup basah ({soil_moisture:.1%}, batas {low:.1%})",
        "the soil is still moist enough ({soil_moisture:.1%}, limit {low:.1%})",
    ),
    "no-meal-due": ("belum jam pakan", "no meal is due"),
    "run-missed": ("waktu siram sudah lewat {late_s:span}", "the run is {late_s:span} late"),
    "no-run-due": ("belum waktunya menyiram", "no run is due"),
    "oxygen-reduced": (
        "porsi dikurangi karena oksigen {dissolved_oxygen:.1f} mg/L",
        "less because dissolved oxygen is {dissolved_oxygen:.1f} mg/L",
    ),
    "ration-clipped": ("porsi dibatasi jatah", "cut to the ration"),
    "budget-clipped": ("dibatasi sisa jatah air hari ini", "cut to what is left of the day's water"),
    "month-clipped": ("dibatasi sisa anggaran air bulan ini", "cut to what is left of the month's water"),
    "max-run-clipped": ("dibatasi lama jalan terpanjang", "cut to the longest run"),
    "dry": (
        "kelembapan tanah {soil_moisture:.1%}, di bawah batas {low:.1%}",
        "soil moisture is {soil_moisture:.1%}, below {low:.1%}",
    ),
    "latched": (
        "kelembapan tanah {soil_moisture:.1%}, diisi sampai {high:.1%}",
        "soil moisture is {soil_moisture:.1%}, being filled to {high:.1%}",
    ),
    "meal-due": ("jam pakan tiba", "a meal is due"),
    "run-due": ("waktunya menyiram", "a run is due"),
    "carried": ("ditambah {carried:.0f} L yang terlewat", "with {carried:.0f} L of what was missed"),
}
