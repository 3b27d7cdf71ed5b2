# SPDX-License-Identifier: GPL-2.0-only
"""Which package a kernel's source is taken from; apt is a stand-in."""

from pathlib import Path

import pytest

from harness.artefacts.apt import Source, fetch
from harness.core.errors import LabError

# What each apt offers is in a file; a download is a folder with the tarball, called a package.
CACHE = """#!/bin/sh
offered={here}/own
case "$*" in *Dir::Etc::sourcelist*) offered={here}/suite ;; esac
while read -r version; do echo "$package | $version | of some mirror"; done <$offered
"""
GET = """#!/bin/sh
echo "$*" >>{here}/called
case "$*" in
*indextargets*) echo "http://mirror/debian stable"; echo "http://mirror/security stable-security" ;;
*sourcelist*update) exec test -e {here}/network ;;
*download*) for last; do :; done; echo "$last" >"$(echo "$last" | tr =/ __)".deb ;;
esac
"""
DPKG = """#!/bin/sh
mkdir -p "$3/usr/src" && cp "$2" "$3/usr/src/linux-source-9.tar.xz"
"""


class Mirror:
    """What two apts offer, and what was asked of them."""

    def __init__(self, here: Path) -> None:
        self.here, self.downloads = here, here / "downloads"
        for name, script in {"apt-cache": CACHE, "apt-get": GET, "dpkg-deb": DPKG}.items():
            program = here / "bin" / name
            program.parent.mkdir(exist_ok=True)
            program.write_text(script.replace("{here}", str(here)))
            program.chmod(0o755)
        self.offers("own")
        self.offers("suite")
        (here / "network").touch()

    def offers(self, which: str, *versions: str) -> None:
        (self.here / which).write_text("".join(f"{version}\n" for version in versions))

    def fetch(self, suite: str = "other-backports") -> tuple[str, str]:
        """The content of the tarball, that is its package, and the version."""
        source = Source("linux-source-9", "9.1-1", suite)
        tarball, version = fetch(source, self.downloads, self.here / "log")
        return tarball.read_text().strip(), version

    @property
    def downloaded(self) -> list[str]:
        lines = (self.here / "called").read_text().splitlines()
        return [line for line in lines if " download " in line]


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return Mirror(tmp_path)


def test_the_machines_own_apt_where_it_has_that_version(mirror: Mirror) -> None:
    mirror.offers("own", "9.2-1", "9.1-1")
    assert mirror.fetch() == ("linux-source-9=9.1-1", "9.1-1")
    assert mirror.fetch()[1] == "9.1-1"
    (line,) = mirror.downloaded
    assert "sourcelist" not in line


def test_else_the_suite_that_the_base_names(mirror: Mirror) -> None:
    mirror.offers("own", "9.2-1")
    mirror.offers("suite", "9.3-1", "9.1-1")
    assert mirror.fetch() == ("linux-source-9=9.1-1", "9.1-1")
    assert "sourcelist" in mirror.downloaded[0]
    listed = (mirror.downloads / "apt/sources.list").read_text()
    assert listed.endswith("http://mirror/debian other-backports main\n")


def test_a_suite_for_security_is_at_another_mirror(mirror: Mirror) -> None:
    mirror.offers("suite", "9.1-1")
    mirror.fetch("other-security")
    listed = (mirror.downloads / "apt/sources.list").read_text()
    assert listed.endswith("http://mirror/security other-security main\n")


@pytest.mark.parametrize("reached", [True, False])
def test_a_newer_one_is_said(
    mirror: Mirror, capsys: pytest.CaptureFixture[str], reached: bool
) -> None:
    mirror.offers("own", "9.2-1")
    if not reached:
        mirror.offers("suite", "9.1-1")
        (mirror.here / "network").unlink()
    assert mirror.fetch() == ("linux-source-9=9.2-1", "9.2-1")
    assert "apt no longer offers 9.1-1; taking 9.2-1 instead" in capsys.readouterr().out
    assert "sourcelist" not in mirror.downloaded[0]


def test_none_at_all(mirror: Mirror) -> None:
    with pytest.raises(LabError, match="apt offers no linux-source-9") as caught:
        mirror.fetch()
    assert "--tarball FILE" in caught.value.hint


def test_without_apt(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(LabError, match="there is no apt here"):
        mirror.fetch()
