# SPDX-License-Identifier: GPL-2.0-only
"""Work on the patches of the series, and on the faults planted in them."""
