# SPDX-License-Identifier: GPL-2.0-only
"""How a verdict comes about: pytest's plugins, and what they are given."""
