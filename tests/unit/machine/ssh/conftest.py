# SPDX-License-Identifier: GPL-2.0-only
"""A server, and a connection to it, for the tests of one module."""

import os
import shutil
from collections.abc import Iterator

import paramiko
import pytest

from harness.machine.ssh.guest import Address, Guest
from tests.unit.machine.ssh.sshd import Server, logged_in, new_private_key


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The guest's programs are busybox's, if this machine has them."""
    path = os.environ["PATH"]
    if busybox := shutil.which("busybox"):
        applets = tmp_path_factory.mktemp("applets")
        for name in (
            "cat",
            "dd",
            "env",
            "grep",
            "mkdir",
            "mv",
            "rm",
            "sleep",
            "sort",
            "stat",
            "tar",
            "tr",
        ):
            (applets / name).symlink_to(busybox)
        path = f"{applets}:{path}"
    return {"PATH": path}


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[Server]:
    server = Server(environment)
    yield server
    server.close()


@pytest.fixture(scope="module")
def address(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Address:
    key = tmp_path_factory.mktemp("keys") / "key"
    key.write_text(new_private_key())
    server.authorized = paramiko.Ed25519Key.from_private_key_file(str(key))
    port = server.listener.getsockname()[1]
    return Address("127.0.0.1", port, key, f"ssh-ed25519 {server.host_key.get_base64()} lab")


@pytest.fixture(scope="module")
def guest(address: Address) -> Iterator[Guest]:
    with logged_in(address) as guest:
        yield guest
