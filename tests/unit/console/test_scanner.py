# SPDX-License-Identifier: GPL-2.0-only
"""Alarms on recorded consoles, cut and coloured in every way a read may bring them.

consoles/bad/NAME.found: a line for each report, its kind, first and last line. Those under
consoles/good have none.
"""

import itertools
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.console.log import ConsoleFile
from harness.console.scanner import MAX_LINES, Scanner, Splat

CONSOLES = Path(__file__).parent / "consoles"
BAD = sorted(path.stem for path in CONSOLES.glob("bad/*.log"))
GOOD = sorted(path.stem for path in CONSOLES.glob("good/*.log"))


def bad(name: str) -> bytes:
    return (CONSOLES / "bad" / f"{name}.log").read_bytes()


def found(name: str) -> list[list[str]]:
    lines = (CONSOLES / "bad" / f"{name}.found").read_text().splitlines()
    return [line.split(" | ") for line in lines]


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
    scanner = Scanner()
    found = [splat for read in reads for splat in scanner.feed(read)]
    return found + scanner.finish()


@pytest.mark.parametrize("name", BAD)
def test_a_bad_console_gives_its_reports(name: str) -> None:
    reports = [(splat.kind, splat.text.splitlines()) for splat in splats(whole(bad(name)))]
    assert [[kind, lines[0], lines[-1]] for kind, lines in reports] == found(name)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_console_gives_none(name: str) -> None:
    assert splats(whole((CONSOLES / "good" / f"{name}.log").read_bytes())) == []


@pytest.mark.parametrize("split", [bytewise, at_random])
@pytest.mark.parametrize("name", BAD)
def test_it_does_not_matter_how_reads_split_it(
    name: str, split: Callable[[bytes], Iterator[bytes]]
) -> None:
    assert splats(split(bad(name))) == splats(whole(bad(name)))


def coloured(data: bytes) -> bytes:
    """As `dmesg --color` and a terminal's own sequences would have it."""
    data = re.sub(rb"(?m)^(\[[^]]+\])", b"\x1b[32m\\1\x1b[0m\x1b[K", data)
    data = data.replace(b"BUG", b"\x1b]0;guest\x07\x1b[1;31mBUG\x1b[m")
    return b"\x1bc\x1b[?7l\x1b[2J" + data


def with_prompts(data: bytes) -> bytes:
    """As behind a shell's prompt that had no line of its own."""
    return re.sub(rb"(?m)^\[(?= *\d+\.)", b"/ # [", data)


def with_levels(data: bytes) -> bytes:
    """As console_msg_format=syslog has it."""
    return re.sub(rb"(?m)^\[(?= *\d+\.)", b"<4>[", data)


def with_copies(data: bytes) -> bytes:
    """As two consoles on one line have it, and a syslogd that prints there."""
    return re.sub(rb"(?m)^(\[ *\d+\..*\n)", rb"\1\1Nov 23 13:00:01 lab kernel: \1", data)


def cut_short(data: bytes) -> bytes:
    """As where a CPU prints before another has ended its line."""
    return re.sub(rb"(?m)^(\[.*)\n(?=\[ *(?!0\.0)\d+\.)", rb"\1", data)


def with_cut_sequences(data: bytes) -> bytes:
    """As where the kernel prints amid a program's escape sequence."""
    cut = itertools.cycle([b"\x1b", b"\x1b[", b"\x1b[1;3", b"\x1b]0;gue"])
    return re.sub(rb"(?m)^\[(?= *\d+\.)", lambda _: next(cut) + b"[", data)


@pytest.mark.parametrize(
    "change",
    [
        coloured,
        with_prompts,
        with_levels,
        with_copies,
        cut_short,
        with_cut_sequences,
        lambda data: data.replace(b"\n", b"\r\n"),
    ],
    ids=["coloured", "prompts", "levels", "copies", "cut short", "cut sequences", "CR LF"],
)
@pytest.mark.parametrize("name", BAD)
def test_what_is_around_a_line_does_not_hide_it(
    name: str, change: Callable[[bytes], bytes]
) -> None:
    assert splats(whole(change(bad(name)))) == splats(whole(bad(name)))


@pytest.mark.parametrize(
    "stamp",
    [rb"\[ *[TC]\d+\] ?", rb"\[ *\d+\.\d{6}\](?=\[)", rb"\[ *\d+\.\d{6}\](\[ *[TC]\d+\])? ?"],
    ids=["caller", "time", "stamp"],
)
@pytest.mark.parametrize("name", BAD)
def test_no_kind_is_missed_on_a_console_without(name: str, stamp: bytes) -> None:
    data = re.sub(rb"(?m)" + stamp, b" " if stamp.startswith(rb"\[ *[TC]") else b"", bad(name))
    kinds = {kind for kind, _, _ in found(name)}
    assert {splat.kind for splat in splats(whole(data))} >= kinds


def test_a_report_split_over_two_reads_comes_with_the_second() -> None:
    data = bad("oops")
    cut = data.index(b"Oops: 0000") + 3
    scanner = Scanner()
    assert scanner.feed(data[:cut]) == []
    assert [splat.kind for splat in scanner.feed(data[cut:])] == ["Oops", "panic"]
    assert scanner.finish() == []


def test_a_truncated_report_comes_when_the_console_is_silent_and_once() -> None:
    scanner = Scanner()
    assert scanner.feed(bad("truncated")) == []
    assert scanner.pending
    (splat,) = scanner.settle()
    assert "bpf_xdp_adjust_head" in splat.text
    assert not scanner.pending
    assert [splat.kind for splat in scanner.finish()] == []


def test_callers_are_told_apart() -> None:
    refcount, bug = splats(whole(bad("interleaved")))
    assert "refcount_warn_saturate" in refcount.text
    assert "skb_panic" not in refcount.text
    assert "skb_panic" in bug.text
    assert "bystander" not in refcount.text + bug.text


def test_a_stall_has_the_stack_of_the_cpu_that_stalls() -> None:
    stall = splats(whole(bad("stalls")))[0]
    assert "xdp_test_run_batch" in stall.text  # of CPU 1
    assert "rcu_gp_kthread" in stall.text  # printed by CPU 0 behind it


def test_a_panic_inside_a_report_is_a_report_of_its_own() -> None:
    data = bad("truncated").rsplit(b"\n", 2)[0]
    data += b"\n[    3.200000][  T101] Kernel panic - not syncing: kernel: panic_on_warn set ...\n"
    assert [splat.kind for splat in splats(whole(data))] == ["WARNING", "panic"]


def test_a_report_without_an_end_does_not_swallow_the_console() -> None:
    line = b"[    1.000000][   T1] BUG: Bad page state\n"
    more = b"".join(line.replace(b"BUG: Bad", b"%d" % index) for index in range(2000))
    assert len(Scanner().feed(line + more)) == 1
    later = b"[    3.000000][   T2] eth1: entered promiscuous mode\n"
    (splat,) = Scanner().feed(line + later)
    assert splat == Splat("BUG", "BUG: Bad page state")


def test_stacks_that_were_asked_for_are_no_fault_however_many() -> None:
    stamp = "[    1.000000][   T1] "
    frames = [" schedule+0x1/0x2"] * 5
    task = ["task:ip  state:S stack:0", "Call Trace:", " <TASK>", *frames, " </TASK>"]
    assert MAX_LINES % len(task) == 1  # so that the limit would cut one before its stack
    lines = [stamp + line for _ in range(400) for line in task]
    assert splats(whole("\n".join(lines).encode())) == []


def test_what_a_program_prints_is_no_report_if_the_kernel_puts_time_stamps() -> None:
    printed = b"BUG: 3 open\n"
    assert splats(whole(printed)) == [Splat("BUG", "BUG: 3 open")]
    assert splats(whole(b"[    1.000000][   T1] Run /init\n" + printed)) == []


def test_what_was_on_the_line_before_it_was_rewritten_hides_nothing() -> None:
    (splat,) = splats(whole(b"42%\r100%\r<4>BUG: Bad page state\n"))
    assert splat == Splat("BUG", "BUG: Bad page state")


@pytest.mark.parametrize("stamp", ["", "[    1.000000][   T1] "])
def test_lost_messages_do_not_tear_a_report(stamp: str) -> None:
    lines = bad("no-stamps").decode().splitlines()
    lost = "** 12 printk messages dropped **"
    for at in range(len(lines)):
        torn = [*lines[:at], lost, *lines[at:]]
        data = "".join(f"{stamp}{line}\n" for line in torn).encode()
        found = splats(whole(data))
        assert found.count(Splat("lost messages", lost)) == 1
        assert [each for each in found if each.text != lost] == splats(whole(bad("no-stamps")))


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


def test_lines_without_an_end_cost_no_more_than_others() -> None:
    scanner = Scanner()
    endless = b"." * 300_000 + b"WARNING: " + b"-safe -> " * 100_000
    assert [splat for byte in bytewise(endless) for splat in scanner.feed(byte)] == []
    (splat,) = splats(iter([b"WARNING: " + b"-safe -> " * 100_000, b"\nBUG: 3 open\n"]))
    assert splat == Splat("BUG", "BUG: 3 open")


def test_long_words_cost_no_more_than_others() -> None:
    assert splats(iter([(b"dump " + b"1" * 2000 + b"\n") * 100])) == []
