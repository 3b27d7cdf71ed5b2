# SPDX-License-Identifier: GPL-2.0-only
"""The command line: words in, a verb at work, an exit status."""
