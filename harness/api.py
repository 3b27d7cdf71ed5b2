# SPDX-License-Identifier: GPL-2.0-only
"""What a test imports: stable, whatever moves in the packages. Each name has its own docstring.

Frames are built (`random_frames`, `frame`), programs are loaded (`Object`) and attached
(`attach`, `at_ingress`), and a way is laid through the guest (`redirect`, `lay`, `by_vlan`) of
links (`veth`, `vlan`, `bridge`) with an `address`.
`Way.capture` sends frames and gives the skb of each, or asserts that some don't arrive;
`Nic.receive` gives what goes out on the wire, with its tags. `flow_through` sends segments of
one flow, which GRO may merge, with `setters` of hints for each by its number, and gives what
became of them, `Merged`. `running` has a
process in the background of the guest, `listening` says when it is ready.
`seen` is what an skb says, `Hints` what was stored, `rss` the hash that a NIC has to report.
The fixtures nic, bpf, guest and seed need no import.
"""

from harness.datapath.bpf import (
    Bpf,
    BpfError,
    Object,
    at_egress,
    at_ingress,
    attach,
    entries,
    entry,
    extend,
    observe,
    run_once,
    u32,
    update,
)
from harness.datapath.devices import Giving, GuestTap, Live, Nic, Outgoing
from harness.datapath.flow import Carrier, Merged, flow_through
from harness.datapath.hints import Hints, Seen, give, seen
from harness.datapath.kv_script import Call, delete, get, set_, setters
from harness.datapath.links import address, bridge, bridge_vlan, ip, veth, vlan, within
from harness.datapath.oracle import Rss, RssType, rss
from harness.datapath.packets import (
    Flow,
    Frame,
    build,
    frame,
    random_flow,
    random_flows,
    random_frames,
    source_address,
    without_ports,
)
from harness.datapath.process import Process, listening, running
from harness.datapath.skb import SkbRecord
from harness.datapath.skb_ways import (
    Passage,
    by_bond,
    by_bridge,
    by_gretap,
    by_ipvlan,
    by_macvlan,
    by_netkit,
    by_veth,
    by_vlan,
    by_vxlan,
)
from harness.datapath.topology import (
    CaptureError,
    To,
    Way,
    cpus,
    devmap,
    lay,
    lay_on_tap,
    redirect,
    rss_key,
)
from harness.testing.fixtures import EACH_FAR_SIDE, EACH_NIC, SLOW

__all__ = [
    "EACH_FAR_SIDE",
    "EACH_NIC",
    "SLOW",
    "Bpf",
    "BpfError",
    "Call",
    "CaptureError",
    "Carrier",
    "Flow",
    "Frame",
    "Giving",
    "GuestTap",
    "Hints",
    "Live",
    "Merged",
    "Nic",
    "Object",
    "Outgoing",
    "Passage",
    "Process",
    "Rss",
    "RssType",
    "Seen",
    "SkbRecord",
    "To",
    "Way",
    "address",
    "at_egress",
    "at_ingress",
    "attach",
    "bridge",
    "bridge_vlan",
    "build",
    "by_bond",
    "by_bridge",
    "by_gretap",
    "by_ipvlan",
    "by_macvlan",
    "by_netkit",
    "by_veth",
    "by_vlan",
    "by_vxlan",
    "cpus",
    "delete",
    "devmap",
    "entries",
    "entry",
    "extend",
    "flow_through",
    "frame",
    "get",
    "give",
    "ip",
    "lay",
    "lay_on_tap",
    "listening",
    "observe",
    "random_flow",
    "random_flows",
    "random_frames",
    "redirect",
    "rss",
    "rss_key",
    "run_once",
    "running",
    "seen",
    "set_",
    "setters",
    "source_address",
    "u32",
    "update",
    "veth",
    "vlan",
    "within",
    "without_ports",
]
