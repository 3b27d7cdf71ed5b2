# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own alarms, found in the bytes of the guest's serial console.

How each kind of report looks is in harness/console/rules.py. What several CPUs print at once is
told apart by printk's caller ID (CONFIG_PRINTK_CALLER), if there is one.
"""

import re
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.console.log import plain
from harness.console.rule import (
    AT_ONCE,
    BARE_STACK,
    CUT_HERE,
    END_STACK,
    MARKED_STACK,
    MORE,
    OTHER_CPU,
    RULER,
    STACK_BEGINS,
    Rank,
    Rule,
)
from harness.console.rules import RULES, UNKNOWN

MAX_TEXT = 2048  # of a line: what printk() takes at most
MAX_LINES = 1000  # of one report; beyond that its end was missed
# Seconds of the guest's clock; what comes behind such a pause has to do with nothing before it.
PAUSE = 1.0
GATHERING = 12.0  # an NMI to the other CPUs is waited for 10 s (lib/nmi_backtrace.c)
BEFORE = 5  # lines that are shown before a stack that nothing announced

# Behind something else, if a program had printed a line without its end.
# With printk.time=0 the caller alone.
_STAMP = re.compile(r"\[ *(?:(\d+\.\d{6})\](?:\[ *([TC]\d+)\])?|([TC]\d+)\]) ?")
# Facility and level before it: as console_msg_format=syslog, as `dmesg --decode` puts them.
_PRIORITY = re.compile(r"<(\d{1,3})>")
_FACILITY = re.compile(r"(\w+) *:\w+ *: ")
_ANY = re.compile("|".join(rule.begin.pattern for rule in RULES))
_BOOTS = re.compile(r"Linux version \d")  # init/main.c


@dataclass(frozen=True)
class Splat:
    """One report of the kernel.

    text: all of it, without colours and time stamps.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class _Line:
    """caller: '' for a stamp without one, None without a stamp. time: the guest's, in seconds."""

    caller: str | None
    time: float
    text: str


@dataclass
class _Report:
    """A report that has begun.

    rule: that of its latest line that has one, which knows the end; None while only 'cut here' was
        seen.
    kind: of the first.
    ended: nothing but its tail may follow, that of the latest line which has one.
    """

    kind: str = ""
    rule: Rule | None = None
    tail: re.Pattern[str] | None = None
    lines: list[str] = field(default_factory=list)
    time: float = 0.0
    has_stack: bool = False
    bare_stack: bool = False
    ended: bool = False

    @property
    def is_note(self) -> bool:
        """Whether it is a stack that is no fault."""
        return self.rule is not None and not self.kind

    @property
    def gathers(self) -> bool:
        """Whether other CPUs print parts of it."""
        return self.rule is not None and self.rule.gathers

    def belongs(self, line: _Line, rule: Rule | None) -> bool:
        """Whether this line, of the same caller, is a part of the report.

        rule: by which the line would begin one.
        """
        if self.bare_stack and not line.text.startswith(" "):
            self.ended = True
        if rule and rule.kind == "" and self.is_note:
            return False
        if self.ended:
            return bool(self.tail and self.tail.match(line.text))
        if self.rule and self.rule.end.match(line.text):
            return True
        if line.text == CUT_HERE:
            return not self.has_stack and (not self.rule or Rank.ALONE < self.rule.rank < Rank.FORM)
        if rule is None or rule.kind in ("", UNKNOWN) or self.rule is None:
            return True
        if self.has_stack or Rank.ALONE in (rule.rank, self.rule.rank):
            return False
        return rule is self.rule or rule.rank > self.rule.rank

    def add(self, line: _Line, rule: Rule | None) -> bool:
        """Take a line in. Returns whether the report is complete with it."""
        warns = self.rule is None and CUT_HERE in self.lines
        if rule and rule.kind in ("", UNKNOWN) and (self.rule or warns):
            rule = None  # its stack
        if rule and (self.rule is None or rule.rank > self.rule.rank):
            self.kind = self.kind or rule.kind
            if not (warns and rule.end is AT_ONCE):  # the text of a WARN, whose form follows
                self.rule, self.tail = rule, rule.tail or self.tail
        self.lines.append(line.text)
        self.time = line.time
        self.has_stack = self.has_stack or bool(STACK_BEGINS.match(line.text))
        if self.rule:
            marked = self.rule.end is not END_STACK or MARKED_STACK.match(line.text)
            bare = self.bare_stack or BARE_STACK.match(line.text)
            self.bare_stack = bool(bare and not marked)
            self.ended = self.ended or bool(self.rule.end.match(line.text))
        return (self.ended and not self.tail) or len(self.lines) >= MAX_LINES

    def is_past(self, line: _Line) -> bool:
        """Whether nothing of it can come any more, now that this line has come."""
        boots = _BOOTS.match(line.text) is not None
        if boots or line.caller is None:
            return boots
        # A clock that goes back is another kernel's.
        return not -PAUSE <= line.time - self.time <= (GATHERING if self.gathers else PAUSE)

    def splats(self) -> list[Splat]:
        """What it comes to; nothing for a stack that is no fault."""
        text = "\n".join(self.lines)
        if self.rule is None:
            return [Splat(self.kind or "WARNING", text)]
        if self.is_note or (self.rule.unless and self.rule.unless.search(text)):
            return []
        return [Splat(self.kind, text)]


class Scanner:
    """Finds reports in a console's bytes, however these were split over reads."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._stamped = False
        self._last: _Line | None = None
        self._open: dict[str | None, _Report] = {}
        self._before: dict[str | None, deque[_Line]] = defaultdict(lambda: deque(maxlen=BEFORE))

    @property
    def pending(self) -> bool:
        """Whether a report has begun that may go on."""
        return bool(self._open)

    def feed(self, data: bytes) -> list[Splat]:
        """The reports that these bytes completed."""
        first, *more = data.split(b"\n")
        self._rest += first
        if not more:
            return []
        lines = [bytes(self._rest), *more[:-1]]
        self._rest = bytearray(more[-1])
        return [splat for raw in lines for line in _parse(raw) for splat in self._line(line)]

    def settle(self) -> list[Splat]:
        """The reports that may go on, as they are: for a console that has been silent a while."""
        return [splat for report in self._reports() for splat in self._close(report)]

    def finish(self) -> list[Splat]:
        """At the console's end: the reports that were cut off."""
        splats = self.feed(b"\n") if self._rest else []
        splats += self.settle()
        self._before.clear()
        return splats

    def _line(self, line: _Line) -> Iterator[Splat]:
        if line.time and line == self._last:
            return  # a copy, of a second console (earlyprintk=ttyS0,keep) or of a syslogd
        self._last = line
        self._stamped = self._stamped or line.caller is not None
        rule = self._rule(line)
        if rule and rule.rank is Rank.BESIDE:
            yield Splat(rule.kind, line.text)
            return
        for past in self._reports():
            if past.is_past(line):
                yield from self._close(past)
        report, torn = self._open.get(line.caller), False
        if report and not report.belongs(line, rule):
            begins = rule is not None or line.text == CUT_HERE
            # Else, where nothing tells callers apart, a bystander's amid a stack.
            if begins or line.caller or not (report.bare_stack or report.gathers):
                torn = not (report.ended or report.is_note)
                yield from self._close(report)
            report = None
        if report is None:
            if rule is None and line.text != CUT_HERE:
                self._before[line.caller].append(line)
                return
            report = self._begin(line, rule)
            if torn:
                report.tail = MORE  # the rest of what it came amid
        if report.add(line, rule):
            yield from self._close(report)

    def _rule(self, line: _Line) -> Rule | None:
        """The rule by which this line begins a report."""
        program = self._stamped and line.caller is None
        text = line.text[:MAX_TEXT]
        if not _ANY.match(text):  # as nearly always; far quicker than one by one
            return None
        matching = (rule for rule in RULES if rule.begin.match(text))
        return next((rule for rule in matching if not (program and rule.loose)), None)

    def _begin(self, line: _Line, rule: Rule | None) -> _Report:
        """The report that this line begins, or the one of another CPU that asked for it."""
        report = _Report(lines=self._prelude(line, rule))
        if OTHER_CPU.match(line.text):
            gathering = (each for each in self._reports() if each.gathers)
            *_, report = report, *gathering
        self._open[line.caller] = report
        return report

    def _prelude(self, line: _Line, rule: Rule | None) -> list[str]:
        """What of the lines before belongs to a report: the ruler above it, mostly."""
        before = self._before.pop(line.caller, deque())
        if rule and rule.kind == UNKNOWN:
            return [each.text for each in before if line.time - each.time <= PAUSE]
        return [each.text for each in list(before)[-1:] if RULER.match(each.text)]

    def _reports(self) -> list[_Report]:
        """Those that are open, each once, the oldest first."""
        return list({id(report): report for report in self._open.values()}.values())

    def _close(self, report: _Report) -> list[Splat]:
        self._open = {key: each for key, each in self._open.items() if each is not report}
        return report.splats()


def _parse(raw: bytes) -> Iterator[_Line]:
    """The lines in one of the console, but none that names user space as where it is from.

    There are several if a CPU cut another's short.
    """
    text = plain(raw)
    stamp = _STAMP.search(text)
    before = (text[: stamp.start()] if stamp else text).rpartition("\r")[2]
    priority, facility = _PRIORITY.match(before), _FACILITY.match(before)
    if (priority and int(priority[1]) >> 3) or (stamp and facility and facility[1] != "kern"):
        return
    if not stamp:
        yield _Line(None, 0.0, before[priority.end() :] if priority else before)
    while stamp:
        time, more = float(stamp[1] or 0), _STAMP.finditer(text, stamp.end())
        # An earlier one is a quotation's.
        cut = next((each for each in more if each[1] and float(each[1]) >= time), None)
        end = cut.start() if cut else None
        yield _Line(stamp[2] or stamp[3] or "", time, text[stamp.end() : end])
        stamp = cut
