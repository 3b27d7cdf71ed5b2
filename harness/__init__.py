# SPDX-License-Identifier: GPL-2.0-only
"""A lab that builds, boots and judges a patched kernel."""
