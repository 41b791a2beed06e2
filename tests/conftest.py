# SPDX-License-Identifier: Apache-2.0
"""Settings of all tests: an example of a property may take its time on a busy machine."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("tirta", deadline=None)
settings.load_profile("tirta")
