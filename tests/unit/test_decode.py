# SPDX-License-Identifier: GPL-2.0-only
"""What is given to the tree's decode_stacktrace.sh, and what is made of its answer."""

from pathlib import Path

import pytest

from harness.decode import Symbols

# As the tree's script does: blanks run together, file and line in place of the offset.
SCRIPT = r"""
while read -r line; do
    echo "$line" >>"$2/given"
    echo $line | sed -E 's|\+0x[0-9a-f]+/0x[0-9a-f]+| (net/core/xdp.c:12)|; s|$| |'
done
"""
REPORT = """WARNING: CPU: 1 PID: 101 at net/core/xdp.c:612 xdp_build_skb+0x41/0x90
RIP: 0010:xdp_build_skb+0x41/0x90
Code: 48 8b 00 0f 1f 44 00 00
Call Trace:
 <TASK>
 ? __warn+0x7d/0x130
  cpu_map_kthread_run+0x2d1/0x7c0
  cpu_map_kthread_run+0x2d1/0x7c0
 </TASK>
the end"""
DECODED = """WARNING: CPU: 1 PID: 101 at net/core/xdp.c:612 xdp_build_skb (net/core/xdp.c:12)
RIP: 0010:xdp_build_skb (net/core/xdp.c:12)
Code: 48 8b 00 0f 1f 44 00 00
Call Trace:
 <TASK>
 ? __warn (net/core/xdp.c:12)
  cpu_map_kthread_run (net/core/xdp.c:12)
  cpu_map_kthread_run (net/core/xdp.c:12)
 </TASK>
the end"""


@pytest.fixture
def symbols(tmp_path: Path) -> Symbols:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/decode_stacktrace.sh").write_text(SCRIPT)
    (tmp_path / "vmlinux").touch()
    return Symbols(tmp_path / "vmlinux", tmp_path)


def test_lines_with_a_symbol_are_decoded_and_all_others_stay(symbols: Symbols) -> None:
    assert symbols.decode(REPORT) == DECODED


def test_each_line_is_asked_for_once(symbols: Symbols) -> None:
    symbols.decode(REPORT)
    given = (symbols.tree / "given").read_text().splitlines()
    assert len(given) == len(set(given)) == 4


def test_what_has_no_symbol_needs_no_script(tmp_path: Path) -> None:
    assert Symbols(tmp_path / "none", tmp_path).decode("BUG: Bad rss") == "BUG: Bad rss"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 3", "exit status 3"),
        ("cat; echo more", "lines for "),
        (None, "exit status 127"),
    ],
)
def test_a_report_that_can_not_be_decoded_is_shown_with_the_reason(
    symbols: Symbols, script: str | None, why: str
) -> None:
    path = symbols.tree / "scripts/decode_stacktrace.sh"
    path.unlink() if script is None else path.write_text(script)
    shown = symbols.decode(REPORT)
    assert shown.startswith(REPORT)
    assert why in shown.removeprefix(REPORT)


def test_a_kernel_without_its_image_is_a_reason_too(symbols: Symbols) -> None:
    symbols.vmlinux.unlink()
    assert "without file and line: there is no" in symbols.decode(REPORT)


def test_a_place_in_another_clone_is_one_in_this_tree(symbols: Symbols, tmp_path: Path) -> None:
    """So ccache has it, whose objects may come from another clone's build."""
    (tmp_path / "net/core").mkdir(parents=True)
    (tmp_path / "net/core/xdp.c").touch()
    script = tmp_path / "scripts/decode_stacktrace.sh"
    script.write_text(SCRIPT.replace("(net/", "(/elsewhere/obj/../linux/net/"))
    assert symbols.decode(REPORT) == DECODED


def test_a_place_that_the_tree_has_not_stays_whole(symbols: Symbols, tmp_path: Path) -> None:
    script = tmp_path / "scripts/decode_stacktrace.sh"
    script.write_text(SCRIPT.replace("(net/", "(/elsewhere/net/"))
    assert symbols.decode(REPORT) == DECODED.replace("(net/", "(/elsewhere/net/")
