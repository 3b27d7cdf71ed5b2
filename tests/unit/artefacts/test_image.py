# SPDX-License-Identifier: GPL-2.0-only
"""What the guest is made of: the list that gen_init_cpio reads, by the project's templates."""

from pathlib import Path

import pytest

from harness.artefacts import image
from harness.artefacts.bpftool import Tools
from harness.core.errors import LabError
from harness.core.workspace import Lane

LIBRARY = Path("/usr/lib/of-this-test/libc.so.6")


@pytest.fixture
def listed(tmp_path: Path) -> list[list[str]]:
    """The lines of the list, split as gen_init_cpio splits them. busybox is a stand-in."""
    busybox = tmp_path / "busybox"
    busybox.write_text("#!/bin/sh\nprintf '%s\\n' cat init ip linuxrc ls sh\n")
    busybox.chmod(0o755)
    programs = {"/bin/busybox": busybox, "/bin/dash": Path("/bin/dash")}
    programs["/bin/ip"] = Path("/sbin/ip")
    staged, keys = tmp_path / "staged", tmp_path / "keys"
    staged.mkdir()
    module = tmp_path / "modules/lib/modules/6.12/kernel/bonding.ko"
    module.parent.mkdir(parents=True)
    module.write_text("a module")
    image._render(staged, programs, [LIBRARY], keys, tmp_path / "modules")
    lines = (staged / "initramfs").read_text().splitlines()
    return [line.split() for line in lines if line]


def test_each_thing_is_there_once_and_behind_its_folder(listed: list[list[str]]) -> None:
    seen = ["/"]
    for _, path, *_ in listed:
        assert path not in seen
        assert str(Path(path).parent) in seen, path
        seen.append(path)
    assert {"/bin/ip", "/bin/dash", str(LIBRARY), "/etc/rcS", "/dev/console"} <= set(seen)
    assert "/lib/modules/6.12/kernel/bonding.ko" in seen


def test_an_applet_is_not_in_the_place_of_a_program(listed: list[list[str]]) -> None:
    links = {path: target for kind, path, target, *_ in listed if kind == "slink"}
    assert links["/bin/cat"] == links["/bin/ls"] == "busybox"
    assert links["/bin/sh"] == "dash"
    assert links["/init"] == "/bin/busybox"
    assert not {"/bin/ip", "/bin/init", "/bin/linuxrc"} & set(links)


def test_the_guests_private_key_is_roots_alone(listed: list[list[str]]) -> None:
    modes = {path: words[0 if kind == "dir" else 1] for kind, path, *words in listed}
    assert modes["/etc/dropbear/host_key"] == "0600"
    assert modes["/root/.ssh"] == "0700"
    assert modes["/root/.ssh/authorized_keys"] == "0600"


def test_what_is_named_is_staged(listed: list[list[str]], tmp_path: Path) -> None:
    staged = [Path(words[2]) for words in listed if words[0] == "file" and "/staged/" in words[2]]
    assert {path.name for path in staged} == {"inittab", "passwd", "profile", "rcS", "shells"}
    assert all(path.is_file() for path in staged)
    assert image.Network().guest in (tmp_path / "staged/rcS").read_text()


def test_each_program_of_the_list_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tools = Tools(tmp_path / "bpftool", tmp_path, tmp_path / "libbpf.a")
    monkeypatch.setattr(image, "find", lambda name: None if name == "dropbear" else tmp_path / name)
    names = image._listed(Lane.PLAIN)
    assert {"busybox", "dropbear", "bpftool", "ip"} <= set(names)
    assert not [name for name in names if name.startswith("#") or " " in name]
    assert image._located("bpftool", tools) == [("/bin/bpftool", tools.bpftool)]
    assert image._located("ip", tools) == [("/bin/ip", tmp_path / "ip")]
    with pytest.raises(LabError, match="dropbear, which goes into the guest"):
        image._located("dropbear", tools)


def test_a_lane_has_programs_besides_and_files_by_a_pattern(tmp_path: Path) -> None:
    tools = Tools(tmp_path / "bpftool", tmp_path, tmp_path / "libbpf.a")
    assert set(image._listed(Lane.PLAIN)) < set(image._listed(Lane.SELFTESTS))
    assert image._listed(Lane.DEBUG) == image._listed(Lane.PLAIN)
    for name in ("libxt_b.so", "libxt_a.so", "other.so"):
        (tmp_path / name).touch()
    found = image._located(f"{tmp_path}/libxt_*.so {tmp_path}/nowhere/*.so", tools)
    files = [tmp_path / "libxt_a.so", tmp_path / "libxt_b.so"]
    assert found == [(str(file), file) for file in files]
    with pytest.raises(LabError, match="goes into the guest"):
        image._located(f"{tmp_path}/none_*.so", tools)
