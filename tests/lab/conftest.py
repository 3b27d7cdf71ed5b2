# SPDX-License-Identifier: GPL-2.0-only
"""What tests of the lab need that run pytest within pytest."""

# pytester forgets what was imported meanwhile, and cryptography's library can't be loaded twice:
# "cipher AES in CTR mode is not supported".
import harness.machine.ssh.guest  # noqa: F401
