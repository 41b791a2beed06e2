# SPDX-License-Identifier: Apache-2.0
"""`python -m tirta` is the command `tirta`."""

from __future__ import annotations

from tirta.entry import main

if __name__ == "__main__":
    main()
