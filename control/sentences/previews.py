# SPDX-License-Identifier: Apache-2.0
"""What a preview takes for granted."""

from __future__ import annotations

from typing import Final

from control.preview import Preview
from control.records import Seen
from control.sentences.numbers import Language, Words, fill, which

__all__ = ["ASSUMPTIONS", "assumptions"]

ASSUMPTIONS: Final[dict[str, Words]] = {
    "persistence": (
        "tanpa prakiraan cuaca: pembacaan sensor sekarang dianggap tetap",
        "there is no forecast: what sensors say now is taken to stay so",
    ),
    "forecast-too-old": (
        "prakiraan {source} terbit {age_s:span} lalu, terlalu lama untuk dipercaya: pembacaan sensor sekarang dianggap tetap",
        "the forecast of {source} was issued {age_s:span} ago and is too old to be believed: what sensors say now is taken "
        "to stay so",
    ),
    "forecast": (
        "prakiraan {source}, terbit {age_s:span} lalu, dianggap benar",
        "the forecast of {source}, issued {age_s:span} ago, is taken to come true",
    ),
    "soil-dries": (
        "tanah mengering menurut prakiraan evapotranspirasi dan basah oleh air yang diberikan",
        "soil dries by the evapotranspiration that is forecast, and is wetted by what is given",
    ),
    "soil-does-not-dry": (
        "tanah dianggap tidak mengering, sebab evapotranspirasi tidak diprakirakan; air yang diberikan membasahinya",
        "soil is taken not to dry, for no evapotranspiration is forecast; what is given wets it",
    ),
    "oxygen-stays": (
        "oksigen terlarut dianggap tetap seperti sekarang",
        "dissolved oxygen is taken to stay as it is now",
    ),
    "devices-obey": (
        "perangkat dianggap terhubung dan menjalankan tepat seperti yang diminta",
        "devices are taken to be connected and to do exactly as they are told",
    ),
    "offline": ("sekarang tidak terhubung: {devices}", "not connected now: {devices}"),
    "unsettled": (
        "hasil tindakan sebelumnya belum pasti di {zones}; dianggap selesai",
        "the end of an earlier act is not known in {zones}; it is taken to be over",
    ),
    "no-reading": (
        "sensor zona ini belum pernah terbaca; tanpa itu aturan tidak bertindak penuh",
        "this zone's sensor was never read; without it its rule does not act, or only with care",
    ),
}


def assumptions(preview: Preview) -> list[tuple[str, dict[str, str]]]:
    """Return what a preview takes for granted: the code, and its sentence in each language."""
    found = [_weather(preview), *_soil(preview), ("devices-obey", {})]
    if preview.ground.offline:
        found.append(("offline", {"devices": ", ".join(preview.ground.offline)}))
    if preview.ground.unsettled:
        found.append(("unsettled", {"zones": ", ".join(preview.ground.unsettled)}))
    if preview.no_reading:
        found.append(("no-reading", {}))
    return [(code, {"id": _told(code, values, "id"), "en": _told(code, values, "en")}) for code, values in found]


def _weather(preview: Preview) -> tuple[str, dict[str, Seen]]:
    forecast = preview.forecast
    if forecast is None:
        return "persistence", {}
    code = "forecast" if forecast.believed(preview.start_ms) else "forecast-too-old"
    return code, {"source": forecast.source, "age_s": max(preview.start_ms - forecast.issued_ms, 0) / 1000}


def _soil(preview: Preview) -> list[tuple[str, dict[str, Seen]]]:
    if preview.kind == "feeding":
        return [("oxygen-stays", {})]
    if preview.kind == "timer":
        return []
    return [("soil-dries" if preview.dries else "soil-does-not-dry", {})]


def _told(code: str, values: dict[str, Seen], language: Language) -> str:
    text = fill(ASSUMPTIONS[code][which(language)], values, language)
    return text[0].upper() + text[1:] + "."
