# SPDX-License-Identifier: GPL-2.0-only
"""What a test says: frames, programs, ways through the guest, and what must arrive."""
