# SPDX-License-Identifier: Apache-2.0
"""The words that go with an act or a decision, in both languages."""

from __future__ import annotations

from pydantic import BaseModel, Field

__all__ = ["Sentence"]


class Sentence(BaseModel):
    """One sentence in each language."""

    id: str = Field(description="In Bahasa Indonesia.", examples=["Penyiraman 17 L: selesai."])
    en: str = Field(description="In English.", examples=["Watering 17 L: done."])
