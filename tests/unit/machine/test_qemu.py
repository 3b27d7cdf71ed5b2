# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's command line, whole: what a machine is must not change by accident."""

from dataclasses import replace
from pathlib import Path

from harness.machine.options import Options
from harness.machine.qemu import Accelerator, Ram, Spec, argv, shape

SPEC = Spec(
    kernel=Path("/b/vmlinux"),
    initramfs=Path("/b/initramfs.cpio.gz"),
    accelerator=Accelerator("tcg", "Nehalem", "there is no /dev/kvm"),
    console=Path("/b/console.log"),
    monitor_fd=7,
    tap_fds=(9, 11),
)

WITHOUT_TAPS = [
    "qemu-system-x86_64",
    "-nodefaults",
    "-no-user-config",
    "-no-reboot",
    *("-display", "none"),
    *("-machine", "q35"),
    *("-accel", "tcg"),
    *("-cpu", "Nehalem"),
    *("-smp", "2"),
    *("-m", "512M"),
    *("-kernel", "/b/vmlinux"),
    *("-initrd", "/b/initramfs.cpio.gz"),
    "-append",
    "console=ttyS0 earlyprintk=serial,ttyS0,115200 panic=-1 oops=panic"
    " unknown_nmi_panic panic_print=0xc8 watchdog_thresh=20 norandmaps fb_tunnels=none"
    " dummy.numdummies=0 random.trust_cpu=on no_timer_check nokaslr tsc=reliable",
    *("-chardev", "file,id=console,path=/b/console.log"),
    *("-serial", "chardev:console"),
    *("-chardev", "socket,id=monitor,fd=7"),
    *("-mon", "chardev=monitor,mode=control"),
    *("-netdev", "user,id=management,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:0-:22"),
    *("-device", "virtio-net-pci,netdev=management,addr=0x2,romfile=,rss=on,guest_announce=off"),
    *("-device", "vmgenid,guid=auto"),
    *("-device", "vmcoreinfo"),
]
TAPS = [
    *("-netdev", "tap,id=eth1,fd=9,vhost=off"),
    "-device",
    "virtio-net-pci,netdev=eth1,addr=0x3,romfile=,mac=52:54:00:00:00:01,"
    "mq=on,vectors=10,hash=on,rss=on,ctrl_vlan=off,guest_announce=off",
    *("-netdev", "tap,id=eth2,fd=11,vhost=off"),
    "-device",
    "virtio-net-pci,netdev=eth2,addr=0x4,romfile=,mac=52:54:00:00:00:02,"
    "mq=on,vectors=10,hash=on,rss=on,ctrl_vlan=off,mrg_rxbuf=off,"
    "guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off,guest_announce=off",
]


def test_with_taps() -> None:
    assert argv(SPEC) == WITHOUT_TAPS + TAPS


def test_without_taps_there_is_no_tested_nic() -> None:
    assert argv(replace(SPEC, tap_fds=())) == WITHOUT_TAPS


def test_counting_instructions_adds_icount_and_nothing_else() -> None:
    counting = argv(replace(SPEC, tap_fds=(), icount=True))
    assert counting == [*WITHOUT_TAPS, "-icount", "shift=0,sleep=off"]


def test_among_others_tcg_runs_both_cpus_in_one_thread() -> None:
    crowded = argv(replace(SPEC, tap_fds=(), crowded=True))
    assert [word for word in crowded if word not in WITHOUT_TAPS] == ["tcg,thread=single"]
    kvm = replace(SPEC, accelerator=Accelerator("kvm", "host", "it works"))
    assert argv(replace(kvm, crowded=True)) == argv(kvm)


def test_ram_in_a_file_is_shared_with_it_until_it_is_saved() -> None:
    plain = replace(SPEC, tap_fds=())
    size_and_path = "memory-backend-file,id=ram,size=512M,mem-path=/proc/self/fd/5"
    machine = ["-machine", "memory-backend=ram"]
    fresh = replace(plain, ram=Ram(5))
    assert argv(fresh) == [*WITHOUT_TAPS, "-object", f"{size_and_path},share=on", *machine]
    saved = replace(plain, ram=Ram(5, saved=True))
    private = ["-object", f"{size_and_path},share=off", *machine, "-incoming", "defer"]
    assert argv(saved) == [*WITHOUT_TAPS, *private]


def test_the_shape_is_what_the_guest_sees() -> None:
    again = replace(
        SPEC, monitor_fd=3, tap_fds=(4, 5), console=Path("/elsewhere"), ram=Ram(6, saved=True)
    )
    again = replace(again, crowded=True)
    assert shape(again) == shape(SPEC)
    assert shape(replace(SPEC, tap_fds=())) != shape(SPEC)
    assert shape(replace(SPEC, options=Options(cpus=1))) != shape(SPEC)


def test_qemu_inherits_what_its_command_line_names() -> None:
    assert SPEC.descriptors == (7, 9, 11)
    assert replace(SPEC, ram=Ram(5)).descriptors == (7, 9, 11, 5)


def test_a_comma_in_the_consoles_path_is_doubled() -> None:
    line = argv(replace(SPEC, console=Path("/a,b/console.log")))
    assert "file,id=console,path=/a,,b/console.log" in line
