# SPDX-License-Identifier: GPL-2.0-only
"""Where a guest's sshd is.

Apart from guest.py, which brings paramiko: to import that takes as long as
the guest needs to greet, so that one knocks first.
"""

import re
import shlex
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.core import files
from harness.core.errors import LabError

USER = "root"
HOST_ALIAS = "kernel-patch-lab"  # what known_hosts calls the guest, whatever its port


class GuestGone(LabError):
    """The connection to the guest is gone, or was never had."""


@dataclass(frozen=True)
class Address:
    """How a guest is reached.

    key: a private ed25519 key in OpenSSH's format.
    host_key: the guest's public key, 'ssh-ed25519 AAAA...'; another one is refused.
    """

    host: str
    port: int
    key: Path
    host_key: str

    def to_json(self) -> dict[str, str | int]:
        """As values that json can write."""
        return {
            "host": self.host,
            "port": self.port,
            "key": str(self.key),
            "host_key": self.host_key,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, str | int]) -> "Address":
        """The reverse of to_json."""
        return cls(
            host=str(values["host"]),
            port=int(values["port"]),
            key=Path(str(values["key"])),
            host_key=str(values["host_key"]),
        )

    @property
    def known_hosts(self) -> Path:
        """OpenSSH's file of the host keys that are right; `pin` writes it."""
        return self.key.with_name("known_hosts")

    def pin(self) -> None:
        """Have the guest's key in known_hosts. Raises OSError."""
        pinned = f"{HOST_ALIAS} {self.host_key}\n"
        file = self.known_hosts
        try:
            if file.read_text() == pinned:
                return
        except (OSError, ValueError):
            pass
        files.replace(file, pinned, mode=0o600)

    def ssh(self) -> list[str]:
        """OpenSSH's command that logs in, once the key is pinned.

        The user's own configuration, agent and keys have no say in it.
        """
        options = [
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            f"IdentityFile={_option(self.key)}",
            f"UserKnownHostsFile={_option(self.known_hosts)}",
            f"HostKeyAlias={HOST_ALIAS}",
            "StrictHostKeyChecking=yes",
        ]
        spelt = [word for option in options for word in ("-o", option)]
        return ["ssh", "-F", "/dev/null", *spelt, "-p", str(self.port), f"{USER}@{self.host}"]

    def how_to_reach(self) -> str:
        """The line for a person's shell that logs in; pins the key. Raises OSError."""
        self.pin()
        return shlex.join(self.ssh())

    def knock(self, deadline: float) -> socket.socket:
        """A new connection, which the guest's sshd begins to answer at once.

        deadline: seconds, for this and for each later wait. Raises GuestGone. QEMU's user
        networking accepts whatever the guest does: so knock when sshd listens.
        """
        try:
            connection = socket.create_connection((self.host, self.port), deadline)
        except OSError as error:
            why = error.strerror or str(error)
            raise GuestGone(f"no sshd at {self.host} port {self.port}: {why}") from None
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


def _option(path: Path) -> str:
    """A path as the value of one of ssh's options, which has '%' for tokens: ssh_config(5)."""
    value = str(path).replace("%", "%%")
    if shlex.quote(value) == value:
        return value
    escaped = re.sub(r'(["\\])', r"\\\1", value)
    return f'"{escaped}"'
