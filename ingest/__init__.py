# SPDX-License-Identifier: Apache-2.0
"""A measurement's way to disk: journal, decode, duplicates, quarantine, latest state, stores."""
