# SPDX-License-Identifier: Apache-2.0
"""Settings, wiring and command line: the only place that knows everything."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
