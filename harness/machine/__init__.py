# SPDX-License-Identifier: GPL-2.0-only
"""A guest: built for, started, kept, watched and ended."""
