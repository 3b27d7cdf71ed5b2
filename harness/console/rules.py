# SPDX-License-Identifier: GPL-2.0-only
"""The rules: for each kind of alarm the line that begins it and the line that ends it.

Read off the printk formats of 6.12 and 7.3 (kernel, mm, lib, net, arch/x86) and off the
oopses of other architectures. An alarm is known at the start of a message, never by a
word within it: 'BUG' in a module's name or on the command line is none.
"""

import re

from harness.console.rule import AT_ONCE, END_TRACE, RULER, Rank, Rule, form, line, oops, stack

UNKNOWN = "stack trace"

_END_PANIC = re.compile(r"---\[ end Kernel panic|Rebooting in \d+ seconds")
_END_UBSAN = re.compile(rf"{END_TRACE.pattern}|{RULER.pattern}")
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
    oops("UBSAN", r"UBSAN: [\w -]+ at \S+\+0x", Rank.FAULT),
    stack("slab", r"BUG \S.* \((Not tainted|Tainted).*\): ", Rank.CAUSE, loose=True),
    stack("memory corruption", r"pagealloc: (single bit error|memory corruption)"),
    form("usercopy", r"usercopy: Kernel memory (exposure|overwrite) attempt detected"),
    form("buffer overflow", r"(\w+: )?detected (buffer overflow|field-spanning write)"),
    form("list corruption", r"list_(add|del|move) (corruption[.,]|double add:)"),
    form(
        "refcount",
        r"refcount_t: ((saturated|(addition|increment) on 0|underflow|decrement hit 0);|unknown)",
        Rank.FAULT,
    ),
    form("ODEBUG", r"ODEBUG: (?!out of memory|Out of memory|selftest passed|\d)", Rank.FAULT),
    form("ref tracker", r"ref_tracker: (.* has \d+/\d+ users at|reference already released)"),
    # The headline is syzkaller's.
    line("kmemleak", r"BUG: memory leak$", tail=re.compile(r"unreferenced object |  ")),
    line(
        "kmemleak",
        r"(kmemleak: )?unreferenced object 0x[0-9a-f]+ \(size \d+\):",
        tail=re.compile(r"(kmemleak: )?  "),
    ),
    line("kmemleak", r"kmemleak: [1-9]\d* new suspected memory leaks"),
    # CPUs and tasks that don't get on.
    stack("soft lockup", r"((NMI )?watchdog: )?BUG: soft lockup - ", gathers=True),
    stack(
        "hard lockup",
        r"((NMI )?watchdog: )?(CPU\d+: )?Watchdog detected hard LOCKUP",
        gathers=True,
    ),
    stack(
        "rcu stall",
        r"(rcu: )?INFO: \w+ (self-)?detected (expedited )?stall"
        r"|rcu: \w+ kthread (starved for|timer wakeup didn't happen)",
        gathers=True,
    ),
    stack(
        "hung task",
        r"INFO: task .+:\d+ blocked( in I/O wait)? for more than \d+ seconds",
        Rank.ALONE,
        gathers=True,
    ),
    stack("workqueue lockup", r"BUG: workqueue lockup - pool", gathers=True),
    stack("CSD lock", r"(smp: )?csd: (Detected|Continued) non-responsive CSD lock", gathers=True),
    # Locks and contexts.
    stack(
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
    stack("scheduling while atomic", r"BUG: scheduling while atomic: "),
    stack("sleeping while atomic", r"BUG: sleeping function called from invalid context"),
    stack("BUG", r"bad: scheduling from the idle thread!|NMI: IOCK error \(.*\) for reason"),
    line(
        "BUG",
        r"Uhhuh\. NMI received for unknown reason|NMI: PCI system error \(SERR\) for reason",
        tail=re.compile(r"Dazed and confused"),
    ),
    # Faults of the CPU, and BUG().
    oops(
        "Oops",
        r"BUG: ([uU]nable to handle|kernel NULL pointer dereference|.*stack guard page was hit)"
        r"|(CPU \d+ )?Unable to handle kernel |Unhandled fault: |Kernel attempted to \w+ user page"
        r"|kernel tried to execute |unable to execute userspace code|Insufficient stack space to"
        r"|(\S+: )?PANIC: (double fault|early exception|invalid or fatal|Unsupported|Fail)"
        r"|CFI failure at |Thread overran stack, or stack corrupted"
        r"|.{1,16}: Corrupted page table at address ",
        Rank.FAULT,
    ),
    oops("Oops", r"(traps: )?Missing ENDBR: ", Rank.CAUSE),
    oops("BUG", r"[kK]ernel BUG at ", Rank.FAULT),
    oops(
        "Oops",
        r"(Internal error: |Oops\b|Kernel BUG).*\[#\d+\]"
        r"|general protection fault(, (probably|maybe) for .*)?: [0-9a-f]{4} \[#\d+\]"
        r"|[\w -]+: [0-9a-f]{4}( ilc:\d)? \[#\d+\]|[A-Z][\w ]+\[#\d+\]:$",
        Rank.FORM,
        loose=True,
    ),
    # 6.12: 'CPU: 0 PID: 1 at file:line function'; 7.3: 'file:line at function, CPU#0: comm/pid';
    # before 3.11: 'at file:line function'. A condition in brackets may stand before the file.
    form(
        "WARNING",
        r"WARNING: (CPU: \d+ PID: \d+ at |(.*:\d+ )?at .*, CPU#\d+: |at \S+:\d+ \S+\+0x)",
        Rank.FORM,
    ),
    form("BUG", r"(\w+: )?skb_(over|under)_panic: "),
    stack("BUG", r"sysfs: cannot create duplicate filename|unchecked MSR access error: "),
    # 'BUG: ' at the start of a message, also where the file has a prefix: by convention a fault.
    line("BUG", r"BUG: (Bad rss-counter state|non-zero pgtables_bytes|.* messages suppressed)"),
    stack(
        "BUG",
        rf"((IPv[46]|user_events|lockdep|bpf|BPF|{_DEVICE}): )?BUG(: |!,? )",
        Rank.CAUSE,
        loose=True,
    ),
    # Network devices, sockets and pages that are not given back, or are not what they should be.
    line(
        "device leak",
        r"unregister_netdevice: waiting for \S+ to become free",
        tail=re.compile(r"ref_tracker: |\s|$"),
    ),
    line("page pool leak", r"\w+\(\) (stalled pool shutdown|page_pool refcnt -?\d+ violation)"),
    line(
        "socket leak",
        r"(\w+: )?(Attempt to release (TCP socket in|alive \w+ socket)|Freeing alive )",
    ),
    stack(
        "neighbour leak", r"(neighbour: )?(Destroying alive neighbour|neighbour leakage|NEIGH: BUG)"
    ),
    stack("checksum", r"(.*: )?hw csum failure$"),
    line("tx timeout", r"(.*: )?NETDEV WATCHDOG: .*transmit queue \d+ timed out"),
    line(
        "virtio",
        r"virtio_\w+ virtio\d+: \S+:id \d+ (is not a head|out of range)"
        r"|.{1,40}: Unexpected TXQ \(\d+\) queue failure: ",
    ),
    stack("irq", r"irq (\d+: nobody cared|event \d+: bogus return value)"),
    # Of what can't be, a line only.
    line(
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
    line("out of memory", r"Out of memory(: Kill| and no killable)"),
    stack(
        "page allocation failure",
        r"\S.{0,15}: (page allocation (failure: order:|stalls for )\d"
        r"|vmalloc( error|: allocation failure): )",
        loose=True,
    ),
    # What was lost may have been a fault.
    Rule("lost messages", re.compile(r"\*\* \d+ printk messages dropped"), AT_ONCE, Rank.BESIDE),
    # What is shown of a page, a mapping or a packet before a BUG() or a WARN, or for no fault.
    form(
        "",
        r"page: ?\S* ?refcount:-?\d+ |skb len=\d+ headroom="
        r"|vma [0-9a-f]{16} start |mm [0-9a-f]{16} task_size ",
    ),
    # Stacks that were asked for, or that are a part of another's report.
    stack(
        "",
        r"sysrq: Show |NMI backtrace for cpu \d+|task:\S.*\bstate:|FAULT_INJECTION: forcing"
        r"|The following trace is a kernel self test",
    ),
    stack(UNKNOWN, r"Call [Tt]race:\s*$", loose=True),
)
