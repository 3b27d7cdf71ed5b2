# SPDX-License-Identifier: GPL-2.0-only
"""How the kernel's alarms look on a console: the line that begins each kind, the one that ends it.

Read off the printk formats of 6.12 and 7.3 (kernel, mm, lib, net, arch/x86) and off the
oopses of other architectures. An alarm is known at the start of a message, never by a
word within it: 'BUG' in a module's name or on the command line is none.
"""

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
UNKNOWN = "stack trace"

_END_TRACE = re.compile(r"---\[ end trace ")
_END_PANIC = re.compile(r"---\[ end Kernel panic|Rebooting in \d+ seconds")
_END_UBSAN = re.compile(rf"{_END_TRACE.pattern}|{RULER.pattern}")
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


def _form(kind: str, begin: str, rank: Rank = Rank.CAUSE) -> Rule:
    """One that comes to `---[ end trace`: a WARN, or what says more just before it."""
    return Rule(kind, re.compile(begin), _END_TRACE, rank)


def _oops(kind: str, begin: str, rank: Rank, *, loose: bool = False) -> Rule:
    """As `_form`; an oops repeats its registers behind that."""
    return Rule(kind, re.compile(begin), _END_TRACE, rank, _AFTER_OOPS, loose=loose)


def _stack(
    kind: str,
    begin: str,
    rank: Rank = Rank.FORM,
    *,
    gathers: bool = False,
    loose: bool = False,
) -> Rule:
    """One whose last part is a stack, or several."""
    return Rule(kind, re.compile(begin), END_STACK, rank, MORE, gathers=gathers, loose=loose)


def _line(kind: str, begin: str, *, tail: re.Pattern[str] | None = None) -> Rule:
    """One of a line, or of a line and its tail."""
    return Rule(kind, re.compile(begin), AT_ONCE, tail=tail)


# As dev_err() and, with its interface behind it, netdev_err() name one.
_DEVICE = r"[\w.-]+ (?=\S*\d)[\w.:-]+( \S+)?"

# The first that matches counts.
RULES = (
    Rule(
        "panic",
        re.compile(r"(---\[ end )?Kernel panic - not syncing:"),
        _END_PANIC,
        Rank.ALONE,
        gathers=True,
    ),
    # Sanitizers and other memory checkers.
    *(
        Rule(kind, re.compile(f"BUG: {kind}: "), RULER, Rank.ALONE)
        for kind in ("KASAN", "KCSAN", "KFENCE", "KMSAN")
    ),
    # In rulers before 6.6; with UBSAN_TRAP as the cause of an oops.
    Rule("UBSAN", re.compile(r"UBSAN: [\w -]+ in \S+:\d+"), _END_UBSAN, Rank.FORM),
    _oops("UBSAN", r"UBSAN: [\w -]+ at \S+\+0x", Rank.FAULT),
    _stack("slab", r"BUG \S.* \((Not tainted|Tainted).*\): ", Rank.CAUSE, loose=True),
    _stack("memory corruption", r"pagealloc: (single bit error|memory corruption)"),
    _form("usercopy", r"usercopy: Kernel memory (exposure|overwrite) attempt detected"),
    _form("buffer overflow", r"(\w+: )?detected (buffer overflow|field-spanning write)"),
    _form("list corruption", r"list_(add|del|move) (corruption[.,]|double add:)"),
    _form(
        "refcount",
        r"refcount_t: ((saturated|(addition|increment) on 0|underflow|decrement hit 0);|unknown)",
        Rank.FAULT,
    ),
    _form("ODEBUG", r"ODEBUG: (?!out of memory|Out of memory|selftest passed|\d)", Rank.FAULT),
    _form("ref tracker", r"ref_tracker: (.* has \d+/\d+ users at|reference already released)"),
    # The headline is syzkaller's.
    _line("kmemleak", r"BUG: memory leak$", tail=re.compile(r"unreferenced object |  ")),
    _line(
        "kmemleak",
        r"(kmemleak: )?unreferenced object 0x[0-9a-f]+ \(size \d+\):",
        tail=re.compile(r"(kmemleak: )?  "),
    ),
    _line("kmemleak", r"kmemleak: [1-9]\d* new suspected memory leaks"),
    # CPUs and tasks that don't get on.
    _stack("soft lockup", r"((NMI )?watchdog: )?BUG: soft lockup - ", gathers=True),
    _stack(
        "hard lockup",
        r"((NMI )?watchdog: )?(CPU\d+: )?Watchdog detected hard LOCKUP",
        gathers=True,
    ),
    _stack(
        "rcu stall",
        r"(rcu: )?INFO: \w+ (self-)?detected (expedited )?stall"
        r"|rcu: \w+ kthread (starved for|timer wakeup didn't happen)",
        gathers=True,
    ),
    _stack(
        "hung task",
        r"INFO: task .+:\d+ blocked( in I/O wait)? for more than \d+ seconds",
        Rank.ALONE,
        gathers=True,
    ),
    _stack("workqueue lockup", r"BUG: workqueue lockup - pool", gathers=True),
    _stack("CSD lock", r"(smp: )?csd: (Detected|Continued) non-responsive CSD lock", gathers=True),
    # Locks and contexts.
    _stack(
        "lockdep",
        r"WARNING: (possible (circular|recursive|irq lock inversion)|inconsistent lock state"
        r"|suspicious RCU usage|bad (unlock balance|contention) detected|held lock freed"
        r"|Nested lock was not taken|chain_key collision"
        r"|.*-safe -> .*-unsafe lock order detected|.+/\d+ still has locks held)"
        r"|\[ (BUG|INFO): .* \]$|INFO: trying to register non-static key"
        r"|BUG: (MAX_\w+ too low|key \S+ has not been registered)",
    ),
    Rule(
        "lockdep",
        re.compile(r"WARNING: lock held when returning"),
        re.compile(r"\d+ locks? held by "),
        tail=re.compile(r" #\d+: "),
    ),
    _stack("scheduling while atomic", r"BUG: scheduling while atomic: "),
    _stack("sleeping while atomic", r"BUG: sleeping function called from invalid context"),
    _stack("BUG", r"bad: scheduling from the idle thread!|NMI: IOCK error \(.*\) for reason"),
    _line(
        "BUG",
        r"Uhhuh\. NMI received for unknown reason|NMI: PCI system error \(SERR\) for reason",
        tail=re.compile(r"Dazed and confused"),
    ),
    # Faults of the CPU, and BUG().
    _oops(
        "Oops",
        r"BUG: ([uU]nable to handle|kernel NULL pointer dereference|.*stack guard page was hit)"
        r"|(CPU \d+ )?Unable to handle kernel |Unhandled fault: |Kernel attempted to \w+ user page"
        r"|kernel tried to execute |unable to execute userspace code|Insufficient stack space to"
        r"|(\S+: )?PANIC: (double fault|early exception|invalid or fatal|Unsupported|Fail)"
        r"|CFI failure at |Thread overran stack, or stack corrupted"
        r"|.{1,16}: Corrupted page table at address ",
        Rank.FAULT,
    ),
    _oops("Oops", r"(traps: )?Missing ENDBR: ", Rank.CAUSE),
    _oops("BUG", r"[kK]ernel BUG at ", Rank.FAULT),
    _oops(
        "Oops",
        r"(Internal error: |Oops\b|Kernel BUG).*\[#\d+\]"
        r"|general protection fault(, (probably|maybe) for .*)?: [0-9a-f]{4} \[#\d+\]"
        r"|[\w -]+: [0-9a-f]{4}( ilc:\d)? \[#\d+\]|[A-Z][\w ]+\[#\d+\]:$",
        Rank.FORM,
        loose=True,
    ),
    # 6.12: 'CPU: 0 PID: 1 at file:line function'; 7.3: 'file:line at function, CPU#0: comm/pid';
    # before 3.11: 'at file:line function'. A condition in brackets may stand before the file.
    _form(
        "WARNING",
        r"WARNING: (CPU: \d+ PID: \d+ at |(.*:\d+ )?at .*, CPU#\d+: |at \S+:\d+ \S+\+0x)",
        Rank.FORM,
    ),
    _form("BUG", r"(\w+: )?skb_(over|under)_panic: "),
    _stack("BUG", r"sysfs: cannot create duplicate filename|unchecked MSR access error: "),
    # 'BUG: ' at the start of a message, also where the file has a prefix: by convention a fault.
    _line("BUG", r"BUG: (Bad rss-counter state|non-zero pgtables_bytes|.* messages suppressed)"),
    _stack(
        "BUG",
        rf"((IPv[46]|user_events|lockdep|bpf|BPF|{_DEVICE}): )?BUG(: |!,? )",
        Rank.CAUSE,
        loose=True,
    ),
    # Network devices, sockets and pages that are not given back, or are not what they should be.
    _line(
        "device leak",
        r"unregister_netdevice: waiting for \S+ to become free",
        tail=re.compile(r"ref_tracker: |\s|$"),
    ),
    _line("page pool leak", r"\w+\(\) (stalled pool shutdown|page_pool refcnt -?\d+ violation)"),
    _line(
        "socket leak",
        r"(\w+: )?(Attempt to release (TCP socket in|alive \w+ socket)|Freeing alive )",
    ),
    _stack(
        "neighbour leak", r"(neighbour: )?(Destroying alive neighbour|neighbour leakage|NEIGH: BUG)"
    ),
    _stack("checksum", r"(.*: )?hw csum failure$"),
    _line("tx timeout", r"(.*: )?NETDEV WATCHDOG: .*transmit queue \d+ timed out"),
    _line(
        "virtio",
        r"virtio_\w+ virtio\d+: \S+:id \d+ (is not a head|out of range)"
        r"|.{1,40}: Unexpected TXQ \(\d+\) queue failure: ",
    ),
    _stack("irq", r"irq (\d+: nobody cared|event \d+: bogus return value)"),
    # Of what can't be, a line only.
    _line(
        "BUG",
        r"protocol \w+ is buggy, dev |.{1,40}: dropping impossible skb from "
        r"|(neighbour: )?Impossible event|TCP: (\w+: Impossible, sk->sk_state|retrans_out leaked)"
        r"|(IPv4: )?(\w+: bug: i?prim |Bug in ip_route_input_slow)|(rcu: )?\w+\(\): Double-freed CB"
        r"|psi: (task underflow|inconsistent task state)|buggy seq_file .next function"
        r"|Huh VM_FAULT_OOM leaked|PAGETABLE BUG #"
        r"|(dst: )?dst_release: dst:\S+ refcnt:-|\S+:\d+: bad (pte|pmd|pud|p4d|pgd) [0-9a-f]"
        r"|\w+: (Bad|Unused) swap (file|offset) entry "
        r"|(dev_remove_\w+|__netlink_remove_tap): \S+ not found|Virtual device \S+ asks to queue"
        r"|TCP: \w+: (found a SYN, please report|wrong queue state)|\w+: fasync list not empty"
        r"|\w+\(\): Argh! Destination lost|VFS: Busy inodes after unmount|Leaked .*locks? on dev="
        r"|fill_read_buffer: .* returned bad count|(genirq: )?exiting task .* active IRQ thread"
        r"|bpf_jit: fatal |NAPI poll function .* exceeding its budget"
        rf"|{_DEVICE}: (NAPI poll function|dma_pool_\w+ .*\b(corrupted|bad dma|already free)\b)"
        r"|KERNEL: assertion \(|BUG \S+ code -?\d+ qlen \d+$|softirq: huh, entered softirq"
        r"|\w+: BUG! T[xX] [rR]ing full"
        r"|NOHZ(: | tick-stop error: )(Non-RCU )?local.softirq.*pending",
    ),
    # A guest that has no memory left gives no verdict; a limit of a cgroup is no lack.
    Rule(
        "out of memory",
        re.compile(r"\S.{0,15} invoked oom-killer: "),
        re.compile(r"(Memory cgroup )?(o|O)ut of memory(: Kill| and no killable)|oom_reaper: "),
        loose=True,
        unless=re.compile(r"Memory cgroup out of memory|CONSTRAINT_MEMCG"),
    ),
    _line("out of memory", r"Out of memory(: Kill| and no killable)"),
    _stack(
        "page allocation failure",
        r"\S.{0,15}: (page allocation (failure: order:|stalls for )\d"
        r"|vmalloc( error|: allocation failure): )",
        loose=True,
    ),
    # What was lost may have been a fault.
    Rule("lost messages", re.compile(r"\*\* \d+ printk messages dropped"), AT_ONCE, Rank.BESIDE),
    # What is shown of a page, a mapping or a packet before a BUG() or a WARN, or for no fault.
    _form(
        "",
        r"page: ?\S* ?refcount:-?\d+ |skb len=\d+ headroom="
        r"|vma [0-9a-f]{16} start |mm [0-9a-f]{16} task_size ",
    ),
    # Stacks that were asked for, or that are a part of another's report.
    _stack(
        "",
        r"sysrq: Show |NMI backtrace for cpu \d+|task:\S.*\bstate:|FAULT_INJECTION: forcing"
        r"|The following trace is a kernel self test",
    ),
    _stack(UNKNOWN, r"Call [Tt]race:\s*$", loose=True),
)
