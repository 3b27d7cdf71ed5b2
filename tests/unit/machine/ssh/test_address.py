# SPDX-License-Identifier: GPL-2.0-only
"""Where a guest is, as other programs are told: json, OpenSSH."""

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from harness.machine.ssh.address import Address

ADDRESS = Address("127.0.0.1", 4222, Path("/lab/build/keys/id_ed25519"), "ssh-ed25519 AAAA")


def test_an_address_survives_json() -> None:
    assert Address.from_json(json.loads(json.dumps(ADDRESS.to_json()))) == ADDRESS


def test_the_ssh_command_is_nobodys_but_the_labs() -> None:
    """No word of the user's configuration; the host key is checked."""
    options = [
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "IdentityFile=/lab/build/keys/id_ed25519",
        "UserKnownHostsFile=/lab/build/keys/known_hosts",
        "HostKeyAlias=kernel-patch-lab",
        "StrictHostKeyChecking=yes",
    ]
    spelt = [word for option in options for word in ("-o", option)]
    assert ADDRESS.ssh() == ["ssh", "-F", "/dev/null", *spelt, "-p", "4222", "root@127.0.0.1"]


def test_the_ssh_command_names_any_folder() -> None:
    words = replace(ADDRESS, key=Path('/a b/50% "\\/key')).ssh()
    assert 'IdentityFile="/a b/50%% \\"\\\\/key"' in words
    assert 'UserKnownHostsFile="/a b/50%% \\"\\\\/known_hosts"' in words


@pytest.mark.parametrize("before", [None, "another key\n", "\xff"])
def test_how_to_reach_pins_the_key_before_it_is_needed(before: str | None, tmp_path: Path) -> None:
    there = tmp_path / "it's here"
    there.mkdir()
    if before:
        (there / "known_hosts").write_text(before, encoding="latin-1")
    address = replace(ADDRESS, key=there / "key")
    mask = os.umask(0)
    try:
        line = address.how_to_reach()
    finally:
        os.umask(mask)
    assert f"""'UserKnownHostsFile="{tmp_path}/it'"'"'s here/known_hosts"'""" in line
    assert (there / "known_hosts").read_text() == "kernel-patch-lab ssh-ed25519 AAAA\n"
    assert [path.name for path in there.iterdir()] == ["known_hosts"]
    assert stat.S_IMODE((there / "known_hosts").stat().st_mode) == (0o600)
    written = (there / "known_hosts").stat()
    assert address.how_to_reach() == line
    assert (there / "known_hosts").stat().st_ino == written.st_ino
