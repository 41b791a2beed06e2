# SPDX-License-Identifier: Apache-2.0
"""What holds for the whole installation: its clock and its catalogue of quantities and kinds of device."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.instants import When, format_instant
from api.services import Needs

__all__ = ["router"]

router = APIRouter(tags=["platform"])


class ClockReading(BaseModel):
    """The platform's time."""

    now: When = Field(description="The time by which schedules run.", examples=["2026-11-22T05:00:00Z"])
    speed: float = Field(description="Seconds of this clock in one second on the wall; 1 outside trials.", examples=[1.0])


class QuantityEntry(BaseModel):
    """Something a device measures."""

    name: str = Field(description="The one name of the quantity.", examples=["soil_moisture"])
    unit: str = Field(description="The one unit it is sent, stored and shown in.", examples=["m3/m3"])
    type: str = Field(description="`number` or `boolean`.", examples=["number"])
    low: float = Field(description="Smallest value a sound sensor can show, in the quantity's unit.", examples=[0.0])
    high: float = Field(description="Largest such value, in the quantity's unit.", examples=[1.0])
    total: bool = Field(description="A running total: its difference counts.", examples=[False])
    names: dict[str, str] = Field(
        description="What people call it, by language.",
        examples=[{"en": "volumetric soil moisture", "id": "kelembapan tanah"}],
    )


class KindEntry(BaseModel):
    """A kind of device."""

    name: str = Field(description="Name of the kind.", examples=["irrigation-controller"])
    quantities: list[str] = Field(description="What it may measure.", examples=[["soil_moisture", "flow"]])
    actions: list[str] = Field(description="What it can be told to do.", examples=[["irrigate", "stop"]])


class CatalogueAnswer(BaseModel):
    """All quantities and kinds of device known here."""

    quantities: list[QuantityEntry] = Field(description="Quantities by name.")
    kinds: list[KindEntry] = Field(description="Kinds of device by name.")


@router.get("/clock")
def read_clock(services: Needs) -> ClockReading:
    """Tell the platform's time and its pace."""
    return ClockReading(now=format_instant(services.clock.now_ms()), speed=services.clock.speed)


@router.get("/catalogue")
def show_catalogue(services: Needs) -> CatalogueAnswer:
    """List the quantities and kinds of device known here."""
    quantities = [
        QuantityEntry(
            name=quantity.name,
            unit=quantity.unit,
            type="boolean" if quantity.boolean else "number",
            low=quantity.low,
            high=quantity.high,
            total=quantity.total,
            names=dict(quantity.names),
        )
        for quantity in services.catalogue.quantities.values()
    ]
    kinds = [
        KindEntry(name=kind.name, quantities=[quantity.name for quantity in kind.quantities], actions=list(kind.actions))
        for kind in services.catalogue.kinds.values()
    ]
    return CatalogueAnswer(
        quantities=sorted(quantities, key=lambda entry: entry.name), kinds=sorted(kinds, key=lambda entry: entry.name)
    )
