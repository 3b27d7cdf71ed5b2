# SPDX-License-Identifier: GPL-2.0-only
"""The guest's serial console as a witness: which lines are the kernel's own alarms.

A report is known by how the kernel prints it, at the start of a message, never
by a word somewhere in a line. What several CPUs print at once is told apart by
printk's caller ID (CONFIG_PRINTK_CALLER). Formats: 6.12, and what 7.3 changed.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

MAX_LINES = 400  # of one report; beyond that its end was missed
TAIL_BYTES = 65536

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]")
# Behind something else, if a program had printed a line without its end.
_STAMP = re.compile(r"\[ *\d+\.\d{6}\](?:\[ *([TC]\d+)\])? ")
_RULER = re.compile(r"={20,}$")
_CUT_HERE = "------------[ cut here ]------------"

_END_TRACE = re.compile(r"---\[ end trace ")
_END_PANIC = re.compile(r"---\[ end Kernel panic")
_END_STACK = re.compile(r" *</TASK>$")
_END_INDENT = re.compile(r"(?! )")
_AT_ONCE = re.compile(r"")


@dataclass(frozen=True)
class _Rule:
    """How one kind of report begins, and the line that ends it."""

    kind: str
    begin: re.Pattern[str]
    end: re.Pattern[str]


def _rule(kind: str, begin: str, end: re.Pattern[str]) -> _Rule:
    return _Rule(kind, re.compile(begin), end)


# The first that matches counts.
_RULES = (
    _rule("panic", r"Kernel panic - not syncing", _END_PANIC),
    _rule("KASAN", r"BUG: KASAN: ", _RULER),
    _rule("KCSAN", r"BUG: KCSAN: ", _RULER),
    _rule("KFENCE", r"BUG: KFENCE: ", _RULER),
    _rule("KMSAN", r"BUG: KMSAN: ", _RULER),
    _rule("UBSAN", r"UBSAN: ", _END_TRACE),
    _rule("soft lockup", r"watchdog: BUG: soft lockup - ", _END_STACK),
    _rule("hard lockup", r"(NMI )?watchdog: Watchdog detected hard LOCKUP", _END_STACK),
    _rule("rcu stall", r"rcu: INFO: \S+ (self-)?detected (expedited )?stall", _END_STACK),
    _rule("hung task", r"INFO: task \S.* blocked for more than \d+ seconds", _END_STACK),
    _rule(
        "lockdep",
        r"WARNING: (possible (circular|recursive|irq lock inversion)|inconsistent lock state"
        r"|suspicious RCU usage|bad unlock balance|held lock freed|lock held when returning"
        r"|Nested lock was not taken|.*-safe -> .*-unsafe lock order detected)"
        r"|\[ BUG: .* \]$|INFO: trying to register non-static key",
        _END_STACK,
    ),
    _rule(
        "Oops",
        r"BUG: (unable to handle|kernel NULL pointer dereference|.*stack guard page was hit)"
        r"|Oops: |general protection fault\b|double fault: |traps: PANIC: double fault",
        _END_TRACE,
    ),
    _rule("BUG", r"kernel BUG at ", _END_TRACE),
    _rule("slab", r"BUG \S+ \(.*[Tt]ainted.*\): ", _END_STACK),
    _rule("BUG", r"BUG: ", _END_STACK),
    _rule("refcount", r"refcount_t: ", _END_TRACE),
    # 6.12: 'CPU: 0 PID: 1 at file:line'; 7.3: 'file:line at function, CPU#0: comm/pid'.
    _rule("WARNING", r"WARNING: (CPU: \d+ PID: \d+|.* at .*CPU#\d+: )", _END_TRACE),
    _rule("kmemleak", r"unreferenced object 0x[0-9a-f]+ \(size \d+\):", _END_INDENT),
    _rule("kmemleak", r"kmemleak: \d+ new suspected memory leaks", _AT_ONCE),
    _rule("device leak", r"unregister_netdevice: waiting for \S+ to become free", _AT_ONCE),
    _rule("page pool leak", r"page_pool_release_retry\(\) stalled pool shutdown", _AT_ONCE),
)


@dataclass(frozen=True)
class Splat:
    """One report of the kernel. text: all of it, without colours and time stamps."""

    kind: str
    text: str


@dataclass
class _Report:
    """A report that has begun. Without a rule yet if only the 'cut here' line was seen."""

    rule: _Rule | None
    lines: list[str] = field(default_factory=list)

    def splat(self) -> Splat:
        return Splat(self.rule.kind if self.rule else "WARNING", "\n".join(self.lines))


class Witness:
    """Finds reports in a console's bytes, however these were split over reads."""

    def __init__(self) -> None:
        self._rest = b""
        self._open: dict[str | None, _Report] = {}
        self._rulers: dict[str | None, str] = {}

    def feed(self, data: bytes) -> list[Splat]:
        """The reports that these bytes completed."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [splat for line in lines for splat in self._line(line)]

    def finish(self) -> list[Splat]:
        """At the console's end: the reports that were cut off."""
        splats = self._line(self._rest) if self._rest else []
        splats += [report.splat() for report in self._open.values()]
        self._rest, self._open, self._rulers = b"", {}, {}
        return splats

    def _line(self, raw: bytes) -> list[Splat]:
        caller, message = _message(raw)
        report = self._open.get(caller)
        rule = next((rule for rule in _RULES if rule.begin.match(message)), None)
        splats = []
        if message == _CUT_HERE or (rule and not _belongs(rule, report)):
            if report:
                splats.append(report.splat())
            ruler = self._rulers.get(caller)
            report = self._open[caller] = _Report(rule, [ruler] if ruler else [])
        self._rulers.pop(caller, None)
        if report is None:
            if _RULER.match(message):
                self._rulers[caller] = message
            return splats
        if report.rule is None:
            report.rule = rule
        end = report.rule.end if report.rule else _END_TRACE
        begun = bool(report.lines) and rule is None
        if end is _END_INDENT and begun and end.match(message):
            del self._open[caller]
            return [*splats, report.splat()]
        report.lines.append(message)
        if end is _AT_ONCE or (begun and end.match(message)) or len(report.lines) >= MAX_LINES:
            del self._open[caller]
            splats.append(report.splat())
        return splats


def _belongs(rule: _Rule, report: _Report | None) -> bool:
    """Whether a line that could begin a report is rather a part of the one that is open."""
    if report is None:
        return False
    if report.rule is None:
        return rule.kind != "panic"
    # An oops is announced by its cause; a WARN by its message; a SLUB report says BUG twice.
    return (report.rule.kind, rule.kind) in {
        ("Oops", "Oops"),
        ("BUG", "Oops"),
        ("refcount", "WARNING"),
        ("UBSAN", "UBSAN"),
    }


def _message(raw: bytes) -> tuple[str | None, str]:
    """A line's caller ID and its text: '' for a stamp without caller, None without stamp."""
    text = _ANSI.sub("", raw.decode(errors="replace")).replace("\0", "").rstrip("\r")
    stamp = _STAMP.search(text)
    if stamp is None:
        return None, text
    return stamp.group(1) or "", text[stamp.end() :]


class ConsoleFile:
    """The file that QEMU writes the console to, read as it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def read_new(self) -> bytes:
        """What came since the last call; nothing while there is no file."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return b""
        self._offset += len(data)
        return data

    def tail(self, lines: int) -> str:
        """The last lines, as a person reads them; '' while there is no file."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - TAIL_BYTES))
                data = file.read()
        except FileNotFoundError:
            return ""
        text = _ANSI.sub("", data.decode(errors="replace")).replace("\r\n", "\n")
        return "\n".join(text.splitlines()[-lines:])
