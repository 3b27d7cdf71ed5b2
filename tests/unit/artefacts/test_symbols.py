# SPDX-License-Identifier: GPL-2.0-only
"""Which address is asked for, and what is made of the answer; tests/lab has the real thing."""

from pathlib import Path

import pytest

from harness.artefacts.symbols import Symbols

# As nm -n has it: two functions of the same name, one of them 0x90 bytes long.
MAP = """\
ffffffff81000000 T _text
ffffffff81000000 t __warn
                 w __crc_nowhere
0000000000000041 a absolute
ffffffff81000130 t xdp_build_skb
ffffffff81000200 t xdp_build_skb
ffffffff81000240 t .Ltmp1
ffffffff81000290 T cpu_map_kthread_run
ffffffff82000000 D jiffies"""
# For each address: itself, and a function that is inlined in another.
ADDR2LINE = r"""#!/bin/bash
shift 5
echo "$@" >>"${0%/*}/asked"
for address; do
    echo "0x$address"
    echo inlined
    echo "/tree/include/net/xdp.h:1"
    echo "at_$address"
    echo "/tree/net/core/xdp.c:12 (discriminator 3)"
done
"""
REPORT = """WARNING: CPU: 1 PID: 101 at net/core/xdp.c:612 xdp_build_skb+0x41/0x90
RIP: 0010:xdp_build_skb+0x41/0x90
Code: 48 8b 00 0f 1f 44 00 00
Call Trace:
 <TASK>
 ? __warn+0x7d/0x130
  cpu_map_kthread_run+0x2d1/0x7c0
  jiffies+0x0/0x8
  veth_poll+0x1/0x2 [veth]
  nobody_knows+0x1/0x2
 </TASK>
the end"""
PLACES = "(/tree/include/net/xdp.h:1 /tree/net/core/xdp.c:12 (discriminator 3))"
DECODED = f"""WARNING: CPU: 1 PID: 101 at net/core/xdp.c:612 xdp_build_skb {PLACES}
RIP: 0010:xdp_build_skb {PLACES}
Code: 48 8b 00 0f 1f 44 00 00
Call Trace:
 <TASK>
 ? __warn {PLACES}
  cpu_map_kthread_run {PLACES}
  jiffies+0x0/0x8
  veth_poll+0x1/0x2 [veth]
  nobody_knows+0x1/0x2
 </TASK>
the end"""


@pytest.fixture
def addr2line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in, first in PATH; beside it one for nm, whose images are what it prints."""
    program = tmp_path / "bin/addr2line"
    program.parent.mkdir()
    program.write_text(ADDR2LINE)
    program.chmod(0o755)
    nm = tmp_path / "bin/nm"
    nm.write_text('#!/bin/sh\n[ "$1" = -n ] && exec cat "$2"\n')
    nm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program


@pytest.fixture
def symbols(tmp_path: Path, addr2line: Path) -> Symbols:
    (tmp_path / "vmlinux").write_text(MAP)
    return Symbols(tmp_path / "vmlinux", tmp_path)


def test_symbols_are_decoded_and_all_else_stays(symbols: Symbols) -> None:
    assert symbols.decode(REPORT) == DECODED


def test_of_functions_of_one_name_the_one_of_that_size_is_asked_for_once(
    symbols: Symbols, addr2line: Path
) -> None:
    symbols.decode(REPORT)
    asked = addr2line.with_name("asked").read_text().split()
    assert asked == ["ffffffff81000241", "ffffffff8100007d", "ffffffff81000561"]


def test_one_of_another_size_is_the_first(symbols: Symbols, addr2line: Path) -> None:
    symbols.decode("xdp_build_skb+0x1/0x8")
    assert addr2line.with_name("asked").read_text().split() == ["ffffffff81000131"]


def test_what_has_no_symbol_needs_no_image(tmp_path: Path) -> None:
    assert Symbols(tmp_path / "none", tmp_path).decode("BUG: Bad rss") == "BUG: Bad rss"


def test_what_addr2line_does_not_know_stays(symbols: Symbols, addr2line: Path) -> None:
    addr2line.write_text(
        '#!/bin/bash\nshift 5\nfor at; do echo "0x$at"; echo "??"; echo "??:0"; done'
    )
    assert symbols.decode(REPORT) == REPORT
    assert symbols.names(["ffffffff81000131"]) == {}


def test_names_have_the_function_and_where_it_is(symbols: Symbols) -> None:
    assert symbols.names(["ffff1", "ffff2"]) == {
        at: f"at_{at} {PLACES}" for at in ("ffff1", "ffff2")
    }


@pytest.mark.parametrize(
    ("script", "why"), [("exit 3", "exit status 3"), ("echo more", "said 0 places of 3")]
)
def test_a_report_that_can_not_be_decoded_is_shown_with_the_reason(
    symbols: Symbols, addr2line: Path, script: str, why: str
) -> None:
    addr2line.write_text(f"#!/bin/bash\n{script}")
    shown = symbols.decode(REPORT)
    assert shown.startswith(REPORT)
    assert why in shown.removeprefix(REPORT)


def test_an_image_that_is_gone_is_a_reason_too(symbols: Symbols, tmp_path: Path) -> None:
    (tmp_path / "vmlinux").unlink()
    assert "without file and line: " in symbols.decode(REPORT)


def test_a_place_in_another_clone_is_one_in_this_tree(symbols: Symbols, tmp_path: Path) -> None:
    """So ccache has it, whose objects may come from another clone's build."""
    for name in ("net/core/xdp.c", "include/net/xdp.h"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert symbols.decode(REPORT) == DECODED.replace("/tree/", "")


def test_a_modules_symbol_is_looked_up_in_the_module(symbols: Symbols, tmp_path: Path) -> None:
    """Not in the kernel, which may have one of that name; with or without a build ID behind it.

    What is found there must be that function: another section may have one at that place.
    """
    (tmp_path / "bonding.ko").write_text("0000000000000010 t __warn\n0000000000000090 t at_91")
    modules = {"bonding": tmp_path / "bonding.ko"}
    both = Symbols(symbols.vmlinux, symbols.tree, modules)
    lines = "__warn+0x7d/0x80 [bonding]\n at_91+0x1/0x2 [bonding 0a1b2c]\n veth+0x1/0x2 [veth]"
    assert both.decode(lines) == (
        f"__warn+0x7d/0x80 [bonding]\n at_91 {PLACES} [bonding]\n veth+0x1/0x2 [veth]"
    )
    asked = (tmp_path / "bin/asked").read_text().split()
    assert asked == ["8d", "91"]
