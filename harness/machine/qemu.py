# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's command line, as a pure function of what the machine is."""

from dataclasses import dataclass, replace
from pathlib import Path

from harness.machine.options import OWN, Options

BINARY = "qemu-system-x86_64"
# The NICs under test, as the guest calls them: eth1 has mergeable receive buffers, eth2 small
# ones, which Linux takes only if the device can't send more than the MTU
# (virtnet_set_big_packets()).
NICS = {
    "eth1": "",
    "eth2": ",mrg_rxbuf=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off",
}
# After a restore: no link is announced, which would be frames that no test sent.
QUIET = ",guest_announce=off"
SSH_PORT = 22
KERNEL_ARGUMENTS = (
    "console=ttyS0",
    "earlyprintk=serial,ttyS0,115200",
    "panic=-1",
    "oops=panic",
    # An NMI makes a guest that hangs print its CPUs' stacks (0x40), the blocked tasks' (0x80)
    # and the held locks (0x8); so does any panic.
    "unknown_nmi_panic",
    "panic_print=0xc8",
    # Seconds; a CPU is locked up after twice that. A starved vCPU gets its turn before.
    "watchdog_thresh=20",
    # TCG of QEMU 7.2 keeps translated code by virtual address: with addresses that
    # are random, each start of a program translates its libraries anew (43 ms, 11 without).
    "norandmaps",
    # No gre0, sit0, dummy0 and the like: devices are those of the machine, and of tests.
    "fb_tunnels=none",
    "dummy.numdummies=0",
    "random.trust_cpu=on",
    # Two starved vCPUs under TCG fail the calibration of timers now and then.
    "no_timer_check",
    # Symbols are where vmlinux has them: for gdb, and for registers that name a function.
    "nokaslr",
    "tsc=reliable",
)


@dataclass(frozen=True)
class Accelerator:
    """KVM or TCG, the CPU model that goes with it, and why it was chosen."""

    name: str
    cpu: str
    reason: str


@dataclass(frozen=True)
class Ram:
    """A file that is the guest's RAM, of its size.

    saved: it is a saved machine's and stays as it is: what the guest writes is its own; QEMU waits
        for the devices that belong to it (harness/machine/snapshot.py). Else the file has what the
        guest writes.
    """

    fd: int
    saved: bool = False


@dataclass(frozen=True)
class Spec:
    """A machine: what it boots, what it is made of, and the descriptors that it is handed.

    console: the file that gets the serial console from the first byte.
    monitor_fd: a connected Unix socket for QMP.
    tap_fds: the taps of NICS; empty where no tap can be had.
    options: what it has otherwise than the lab's own machine.
    icount: the guest's clock counts its instructions, one a nanosecond; for one CPU and one thread
        of TCG.
    ram: a file for the guest's RAM, where the machine is to be saved, or was.
    crowded: there are machines for all of the host's processors. A vCPU that waits for the other
        one to answer an IPI spins; in threads of their own, that takes from it, or from another
        machine, the processor that it waits for: 40 % of two guests' time, under TCG.
    """

    kernel: Path
    initramfs: Path
    accelerator: Accelerator
    console: Path
    monitor_fd: int
    tap_fds: tuple[int, ...]
    options: Options = OWN
    icount: bool = False
    ram: Ram | None = None
    crowded: bool = False

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What QEMU inherits."""
        return (self.monitor_fd, *self.tap_fds, *([self.ram.fd] if self.ram else []))


def argv(spec: Spec) -> list[str]:
    """The command line: option and value, nothing that QEMU would have added by itself."""
    line = [
        BINARY,
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display", "none",
        "-machine", "q35",
        "-accel", _accelerator(spec),
        "-cpu", spec.accelerator.cpu,
        "-smp", str(spec.options.cpus),
        "-m", f"{spec.options.memory}M",
        "-kernel", str(spec.kernel),
        "-initrd", str(spec.initramfs),
        "-append", " ".join([*KERNEL_ARGUMENTS, *_more_words(spec.options.append)]),
        "-chardev", f"file,id=console,path={_value(spec.console)}",
        "-serial", "chardev:console",
        "-chardev", f"socket,id=monitor,fd={spec.monitor_fd}",
        "-mon", "chardev=monitor,mode=control",
        # restrict: the guest reaches nothing of the host but what is forwarded.
        # Host port 0 has the kernel choose one, so two labs never collide.
        "-netdev", f"user,id=management,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:0-:{SSH_PORT}",
        # rss: with no header of the host's QEMU reports no hash: a NIC as others have it.
        "-device", f"virtio-net-pci,netdev=management,addr=0x2,romfile=,rss=on{QUIET}",
        # Another one in each QEMU: a restored kernel then seeds its random numbers anew.
        "-device", "vmgenid,guid=auto",
        "-device", "vmcoreinfo",
    ]  # fmt: skip
    if spec.ram:
        # Private: what the guest writes never gets to the file.
        share = "off" if spec.ram.saved else "on"
        line += [
            "-object", f"memory-backend-file,id=ram,size={spec.options.memory}M,"
            f"mem-path=/proc/self/fd/{spec.ram.fd},share={share}",
            "-machine", "memory-backend=ram",
        ]  # fmt: skip
        line += ["-incoming", "defer"] if spec.ram.saved else []
    if spec.icount:
        line += ["-icount", "shift=0,sleep=off"]
    nics = zip(spec.tap_fds, NICS.items(), strict=False)
    for number, (fd, (nic, more)) in enumerate(nics, start=1):
        line += [
            # vhost=off: hash reports need QEMU's own data path. ctrl_vlan=off:
            # else QEMU drops frames of VLANs that the guest did not ask for.
            "-netdev", f"tap,id={nic},fd={fd},vhost=off",
            "-device", f"virtio-net-pci,netdev={nic},addr=0x{2 + number},romfile=,"
            f"mac=52:54:00:00:00:0{number},mq=on,vectors=10,hash=on,rss=on,ctrl_vlan=off{more}{QUIET}",
        ]  # fmt: skip
    if spec.options.share:
        line += [
            "-fsdev", "local,id=share,security_model=none,readonly=on,"
            f"path={_value(Path(spec.options.share))}",
            "-device", "virtio-9p-pci,fsdev=share,mount_tag=share",
        ]  # fmt: skip
    if spec.options.stays:
        line += ["-action", "shutdown=pause"]  # which a reboot is, by -no-reboot
    return [*line, *spec.options.qemu]


def _more_words(append: str) -> list[str]:
    # Whatever they say of the console, as `quiet` does: alarms and the lab's marks are read there.
    return [append, "ignore_loglevel"] if append else []


def shape(spec: Spec) -> list[str]:
    """The command line without what is another one at each start: what the guest sees of it.

    What kernel and initramfs are, and not what they are called, is in a machine's fingerprint.
    """
    taps = tuple(range(len(spec.tap_fds)))
    seen = replace(spec, monitor_fd=0, tap_fds=taps, ram=None, crowded=False)
    seen = replace(seen, options=replace(spec.options, stays=False))
    seen = replace(seen, kernel=Path("kernel"), initramfs=Path("initramfs"))
    return argv(replace(seen, console=Path("console")))


def _accelerator(spec: Spec) -> str:
    name = spec.accelerator.name
    return f"{name},thread=single" if name == "tcg" and spec.crowded else name


def _value(path: Path) -> str:
    """A path inside an option: QEMU takes two commas for one."""
    return str(path).replace(",", ",,")
