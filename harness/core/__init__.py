# SPDX-License-Identifier: GPL-2.0-only
"""What every other package uses: errors, words for a person, programs, locks, paths."""
