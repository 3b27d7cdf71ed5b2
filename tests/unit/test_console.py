# SPDX-License-Identifier: GPL-2.0-only
"""The console as a witness: recorded consoles, cut in every way a read may cut them."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.console import ConsoleFile, Splat, Witness

CONSOLES = Path(__file__).parent / "consoles"

# Kind, first and last line of each report.
EXPECTED = {
    "clean": [],
    "warn": [("WARNING", "------------[ cut here ]------------", "---[ end trace 0000")],
    "oops": [
        ("Oops", "BUG: kernel NULL pointer dereference, address", "---[ end trace 0000"),
        ("panic", "Kernel panic - not syncing: Fatal", "---[ end Kernel panic - not syncing"),
    ],
    "kasan": [("KASAN", "=====", "=====")],
    "truncated": [("WARNING", "------------[ cut here", "CPU: 1 UID: 0 PID: 101 Comm: bpft")],
    "interleaved": [
        ("refcount", "------------[ cut here", "---[ end trace 0000"),
        ("BUG", "------------[ cut here", "---[ end trace 0000"),
    ],
}


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def bytewise(data: bytes) -> Iterator[bytes]:
    for index in range(len(data)):
        yield data[index : index + 1]


def at_random(data: bytes) -> Iterator[bytes]:
    dice = random.Random(len(data))
    while data:
        length = dice.randint(0, 200)
        yield data[:length]
        data = data[length:]


def splats(reads: Iterator[bytes]) -> list[Splat]:
    witness = Witness()
    found = [splat for read in reads for splat in witness.feed(read)]
    return found + witness.finish()


def console(name: str) -> bytes:
    return (CONSOLES / f"{name}.txt").read_bytes()


@pytest.mark.parametrize("name", EXPECTED)
def test_a_recorded_console_gives_its_reports(name: str) -> None:
    found = splats(whole(console(name)))
    assert [splat.kind for splat in found] == [kind for kind, _, _ in EXPECTED[name]]
    for splat, (_, first, last) in zip(found, EXPECTED[name], strict=True):
        lines = splat.text.splitlines()
        assert lines[0].startswith(first)
        assert lines[-1].startswith(last)


def test_every_recorded_console_is_read() -> None:
    assert {path.stem for path in CONSOLES.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("split", [bytewise, at_random])
@pytest.mark.parametrize("name", EXPECTED)
def test_it_does_not_matter_how_reads_split_it(
    name: str, split: Callable[[bytes], Iterator[bytes]]
) -> None:
    data = console(name)
    assert splats(split(data)) == splats(whole(data))
    assert splats(split(data.replace(b"\n", b"\r\n"))) == splats(whole(data))


def test_a_report_split_over_two_reads_comes_with_the_second() -> None:
    data = console("oops")
    cut = data.index(b"Oops: 0000") + 3
    witness = Witness()
    assert witness.feed(data[:cut]) == []
    assert [splat.kind for splat in witness.feed(data[cut:])] == ["Oops", "panic"]
    assert witness.finish() == []


def test_a_truncated_report_comes_at_the_end_and_once() -> None:
    witness = Witness()
    assert witness.feed(console("truncated")) == []
    (splat,) = witness.finish()
    assert "bpf_xdp_adjust_head" in splat.text
    assert witness.finish() == []


def test_callers_are_told_apart() -> None:
    refcount, bug = splats(whole(console("interleaved")))
    assert "refcount_warn_saturate" in refcount.text
    assert "skb_panic" not in refcount.text
    assert "skb_panic" in bug.text
    assert "bystander" not in refcount.text + bug.text


STACK = ["Call Trace:", " <TASK>", " schedule+0x2f/0xa0", " </TASK>"]


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("BUG", ["BUG: scheduling while atomic: bpftool/77/0x00000002", *STACK]),
        ("BUG", ["BUG: sleeping function called from invalid context at mm/x.c:1", *STACK]),
        ("soft lockup", ["watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [ip:9]", *STACK]),
        ("hung task", ["INFO: task ip:9 blocked for more than 120 seconds.", *STACK]),
        ("rcu stall", ["rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", *STACK]),
        ("rcu stall", ["rcu: INFO: rcu_sched self-detected stall on CPU", *STACK]),
        ("lockdep", ["=" * 54, "WARNING: possible circular locking dependency detected", *STACK]),
        ("lockdep", ["=" * 29, "[ BUG: Invalid wait context ]", *STACK]),
        (
            "slab",
            ["=" * 77, "BUG kmalloc-64 (Not tainted): Right Redzone overwritten", "-" * 77, *STACK],
        ),
        (
            "UBSAN",
            [
                "------------[ cut here ]------------",
                "UBSAN: array-index-out-of-bounds in net/core/xdp.c:9:2",
                *STACK,
                "---[ end trace ]---",
            ],
        ),
        (
            "WARNING",  # as 7.3 prints it
            [
                "------------[ cut here ]------------",
                "WARNING: net/core/xdp.c:612 at xdp_x+0x41/0x90, CPU#1: bpftool/101",
                "---[ end trace 0000000000000000 ]---",
            ],
        ),
        (
            "Oops",
            [
                "Oops: general protection fault, probably for non-canonical address 0xdead: 0000",
                *STACK,
                "---[ end trace 0000000000000000 ]---",
            ],
        ),
        ("kmemleak", ["unreferenced object 0xffff888003a (size 64):", '  comm "ip", pid 9']),
        (
            "device leak",
            ["unregister_netdevice: waiting for veth0 to become free. Usage count = 2"],
        ),
    ],
)
@pytest.mark.parametrize("prefix", ["[   12.345678][  T101] ", "[   12.345678] ", ""])
def test_each_kind_is_one_report_and_whole(kind: str, lines: list[str], prefix: str) -> None:
    around = [f"{prefix}lab: before", *(prefix + line for line in lines), f"{prefix}lab: after"]
    text = "\n".join([*around, ""])
    witness = Witness()
    assert witness.feed(text.encode()) == [Splat(kind, "\n".join(lines))]
    assert witness.finish() == []


def test_colours_do_not_hide_a_report() -> None:
    text = "\x1b[1;31m[    1.000000][   T1] \x1b[0mKernel panic - not syncing: VFS\n"
    assert splats(whole(text.encode())) == [Splat("panic", "Kernel panic - not syncing: VFS")]


def test_a_panic_inside_a_report_is_a_report_of_its_own() -> None:
    data = console("truncated").rsplit(b"\n", 2)[0]
    data += b"\n[    3.2][  T101] Kernel panic - not syncing: kernel: panic_on_warn set ...\n"
    data = data.replace(b"[    3.2]", b"[    3.200000]")
    assert [splat.kind for splat in splats(whole(data))] == ["WARNING", "panic"]


def test_a_report_without_an_end_does_not_swallow_the_console() -> None:
    line = b"[    1.000000][   T1] BUG: Bad page state\n"
    assert len(Witness().feed(line + line.replace(b"BUG: Bad", b"more") * 1000)) == 1


def test_console_file_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "console"
    file = ConsoleFile(path)
    assert file.read_new() == b""
    assert file.tail(3) == ""
    path.write_bytes(b"one\r\n\x1b[31mtwo\x1b[0m\r\nna\xc3")
    assert file.read_new() == path.read_bytes()
    assert file.read_new() == b""
    with path.open("ab") as growing:
        growing.write(b"\xafve\r\n")
    assert file.read_new() == b"\xafve\r\n"
    assert file.tail(2) == "two\nnaïve"
