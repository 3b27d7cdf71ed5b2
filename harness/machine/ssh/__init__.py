# SPDX-License-Identifier: GPL-2.0-only
"""A way into a guest: commands, streams, a terminal, copies."""
