# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel says on its console, and which of it is an alarm."""
