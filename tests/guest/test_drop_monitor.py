# SPDX-License-Identifier: GPL-2.0-only
"""The example of the kernel's documentation, Documentation/networking/skb-kv.rst, works."""

from harness.api import (
    Bpf,
    Nic,
    Object,
    attach,
    lay,
    random_frames,
)
from harness.datapath.bpf import BPFCALL
from harness.datapath.kv_names import listed

MONITOR = Object("drop_monitor")


def test_a_packets_id_where_it_is_dropped(bpf: Bpf, nic: Nic, seed: int) -> None:
    """IP drops what is another host's: an id for each packet, the place and the reason."""
    lines = [
        # bpftool makes the directory for links only, and none of the first program's kind.
        f"mkdir {MONITOR.directory}",
        f"{MONITOR.load()} autoattach",
        f"{BPFCALL} syscall {MONITOR.program('start')}",
        attach(MONITOR.program("give_id"), nic.device),
    ]
    way = lay(bpf, nic, "skb_observer", "", lines, observed=[nic.device])
    try:
        (line,) = listed(bpf)[0]
        assert line.split()[0::2] == ["packet_id", "8"]
        assert line.endswith(" first")
        kinds = ["ipv4/udp", "ipv6/tcp"]
        way.capture(random_frames(16, seed, kinds))
        drops = bpf.dump(MONITOR.map("drops"))
    finally:
        bpf.run([f"{BPFCALL} syscall {MONITOR.program('stop')}"])
    noted = {int.from_bytes(key, "little"): value for key, value in drops.items()}
    assert noted.keys() >= set(range(16))
    where = {value[4:].split(b"+")[0] for number, value in noted.items() if number < 16}
    assert where == {b"ip_rcv_core", b"ip6_rcv_core"}
    assert listed(bpf)[0] == []
