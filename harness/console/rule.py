# SPDX-License-Identifier: GPL-2.0-only
"""A rule: how one kind of report begins on a console, how it ends, and its rank."""

import enum
import re
from dataclasses import dataclass


class Rank(enum.IntEnum):
    """Where in a report a line stands: one of a higher rank goes on with what a lower one began."""

    BESIDE = -1  # is a report by itself; what is open goes on behind it
    ALONE = 0  # begins a report of its own, whatever is open; no other goes on with it
    CAUSE = 1  # says what is wrong, perhaps before the kernel complains in form
    FAULT = 2  # 'kernel BUG at', 'BUG: unable to handle': an oops follows
    FORM = 3  # 'WARNING: CPU: 0 PID: 1 at', 'Oops: ': registers and stack follow


@dataclass(frozen=True)
class Rule:
    """How one kind of report begins, and the line that ends it.

    kind: '' for a stack that is no fault, as one that was asked for.
    tail: what belongs to it behind its end, line by line; None: nothing.
    gathers: the stacks that other CPUs print of themselves are part of it.
    loose: programs, too, print such lines: it needs a time stamp, if the kernel puts any.
    unless: a report with such a line is no fault.
    """

    kind: str
    begin: re.Pattern[str]
    end: re.Pattern[str]
    rank: Rank = Rank.CAUSE
    tail: re.Pattern[str] | None = None
    gathers: bool = False
    loose: bool = False
    unless: re.Pattern[str] | None = None


CUT_HERE = "------------[ cut here ]------------"
RULER = re.compile(r"={20,}$")
STACK_BEGINS = re.compile(r"Call [Tt]race:\s*$|CPU: \d+ (UID|PID): |RIP: |pc : ")
OTHER_CPU = re.compile(r"NMI backtrace for cpu \d+")
# Of arm64, riscv and x86 before 5.16, which put no </TASK> at its end, nor <TASK> behind </IRQ>.
BARE_STACK = re.compile(r"Call [Tt]race:\s*$| *</(?!TASK)")
MARKED_STACK = re.compile(r" *<[A-Z#]\w*>$")
AT_ONCE = re.compile(r"")
END_STACK = re.compile(r" *</TASK>$")
END_TRACE = re.compile(r"---\[ end trace ")

_REGISTERS = r"([ER]?(IP|[A-DS][XIP])|R\d\d|[C-GS]S|CR\d|DR\d|PKRU|Code|note): "
_AFTER_OOPS = re.compile(rf"{_REGISTERS}|\s|Fixing recursive fault|Modules linked in:")
MORE = re.compile(
    rf"{_REGISTERS}|(pstate|x\d+|(pc|lr|sp) ): |\s|$|CPU: |Tainted: |Hardware name: "
    r"|Modules linked in:|Sched_ext: |irq event stamp: "
    r"|(hard|soft)irqs last |Call [Tt]race:|Sending NMI from|NMI backtrace for|rcu: (?!INFO: rcu)"
    r"|INFO: (lockdep is turned off|task .* (is )?blocked on )|Showing |task:|Workqueue: |Stopper: "
    r"|pool \d|workqueue \w|Task dump for CPU "
    r"|stack backtrace:|other info that might help us debug this:"
    r"|\d+ locks? held by|no locks held|locks held by|---\[ end trace |FIX \S+: |page_owner "
    r"|page last |page has been|Mem-Info:|active_anon:|Node \d|lowmem_reserve|Free swap|Total swap"
    r"|SLUB: |oom_reaper: |\d+ (pages|total pagecache) |handlers:|\[(<.*>|[0-9a-f]{8,})\] "
    r"|Disabling (IRQ|lock debugging)|skb |Future hung task reports"
    r"|(Object|Slab) 0x|(Allocated|Freed) in "
    # Behind all locks; lockdep's own rulers are of other lengths.
    r"|={45}$"
)


def form(kind: str, begin: str, rank: Rank = Rank.CAUSE) -> Rule:
    """One that comes to `---[ end trace`: a WARN, or what says more just before it."""
    return Rule(kind, re.compile(begin), END_TRACE, rank)


def oops(kind: str, begin: str, rank: Rank, *, loose: bool = False) -> Rule:
    """As `form`; an oops repeats its registers behind that."""
    return Rule(kind, re.compile(begin), END_TRACE, rank, _AFTER_OOPS, loose=loose)


def stack(
    kind: str,
    begin: str,
    rank: Rank = Rank.FORM,
    *,
    gathers: bool = False,
    loose: bool = False,
) -> Rule:
    """One whose last part is a stack, or several."""
    return Rule(kind, re.compile(begin), END_STACK, rank, MORE, gathers=gathers, loose=loose)


def line(kind: str, begin: str, *, tail: re.Pattern[str] | None = None) -> Rule:
    """One of a line, or of a line and its tail."""
    return Rule(kind, re.compile(begin), AT_ONCE, tail=tail)
