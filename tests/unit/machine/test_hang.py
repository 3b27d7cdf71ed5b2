# SPDX-License-Identifier: GPL-2.0-only
"""What an autopsy makes of QEMU's and the kernel's words."""

from harness.machine.hang import registers, stacks

TOLD = """
CPU#0
RAX=0000000000000000 RBX=0000000000000001 RCX=0000000000000000 RDX=0000000000000000
R8 =0000000000000002 R9 =0000000000000002 R10=ffffc900001c35a0 R11=0000000000000243
RIP=ffffffff815e8ae7 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1
ES =0000 0000000000000000 00000000 00000000
GDT=     fffffe0000001000 0000007f
CR0=80050033 CR2=00007fffffffbfd8 CR3=0000000002d27000 CR4=000006b0
XMM00=0000000000000000 0000000000000000 XMM01=ba6f6b8fc4cfc3ac e88f97bc35f9d01c

CPU#1
RIP=ffffffff815e8ae9 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1
FPR0=0000000000000000 0000 FPR1=0000000000000000 0000
"""


def test_registers_are_the_general_ones_of_each_cpu() -> None:
    assert registers(TOLD).splitlines() == [
        "CPU 0",
        " RAX=0000000000000000 RBX=0000000000000001 RCX=0000000000000000 RDX=0000000000000000",
        " R8 =0000000000000002 R9 =0000000000000002 R10=ffffc900001c35a0 R11=0000000000000243",
        " RIP=ffffffff815e8ae7 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1",
        " CR0=80050033 CR2=00007fffffffbfd8 CR3=0000000002d27000 CR4=000006b0",
        "CPU 1",
        " RIP=ffffffff815e8ae9 RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1",
    ]


PANIC = """Kernel panic - not syncing: NMI: Not continuing
CPU: 0 UID: 0 PID: 63 Comm: ip Not tainted 6.12.117 #1
Call Trace:
 <NMI>
 panic+0x2ec/0x300
 </NMI>
 <TASK>
 veth_poll+0x9c/0x240
 </TASK>
NMI backtrace for cpu 0
CPU: 0 UID: 0 PID: 63 Comm: ip Not tainted 6.12.117 #1
Hardware name: QEMU Standard PC (Q35 + ICH9, 2009)
Call Trace:
 <NMI>
 nmi_cpu_backtrace+0xb7/0xf0
RIP: 0010:veth_poll+0x9c/0x240
Code: 00 00 8b b8 8c 02 00 00 e8 87 bd d4 ff eb bd 0f 1f 44
RSP: 0018:ffffc900001c38e8 EFLAGS: 00000296
R13: 0000000000000000 R14: ffff888000b74b50 R15: ffff8880009aa000
 ? veth_poll+0x9c/0x240
 </NMI>
 <TASK>
 veth_poll+0x9c/0x240
 </TASK>
Sending NMI from CPU 0 to CPUs 1:
NMI backtrace for cpu 1
RIP: 0010:pv_native_safe_halt+0x17/0x20
 <TASK>
 default_idle+0x9/0x10
 </TASK>
task:bpftool         state:D stack:13920 pid:141
Call Trace:
 <TASK>
 rtnl_lock+0x9/0x10
 </TASK>
Kernel Offset: disabled"""


def test_stacks_are_what_was_interrupted_on_each_cpu_and_blocked_tasks() -> None:
    assert stacks(PANIC).splitlines() == [
        "NMI backtrace for cpu 0",
        "CPU: 0 UID: 0 PID: 63 Comm: ip Not tainted 6.12.117 #1",
        "Call Trace:",
        "RIP: 0010:veth_poll+0x9c/0x240",
        " <TASK>",
        " veth_poll+0x9c/0x240",
        " </TASK>",
        "Sending NMI from CPU 0 to CPUs 1:",
        "NMI backtrace for cpu 1",
        "RIP: 0010:pv_native_safe_halt+0x17/0x20",
        " <TASK>",
        " default_idle+0x9/0x10",
        " </TASK>",
        "task:bpftool         state:D stack:13920 pid:141",
        "Call Trace:",
        " <TASK>",
        " rtnl_lock+0x9/0x10",
        " </TASK>",
    ]


def test_a_panic_without_the_others_stacks_is_shown_as_it_is() -> None:
    assert stacks("Kernel panic - not syncing: x\nCall Trace:") == (
        "Kernel panic - not syncing: x\nCall Trace:"
    )
