# SPDX-License-Identifier: GPL-2.0-only
"""Steps from inputs to a folder that is complete or absent: source, kernel, programs, image."""
