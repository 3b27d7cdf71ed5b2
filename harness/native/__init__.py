# SPDX-License-Identifier: GPL-2.0-only
"""What of the series can be proved without a guest: the store's encoding, in user space."""
