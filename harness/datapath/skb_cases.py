# SPDX-License-Identifier: GPL-2.0-only
"""What XDP stored, read by TC programs of the packet's skb on its way through devices."""

from collections.abc import Mapping, Sequence

from harness.datapath.bpf import Bpf, Object, at_ingress
from harness.datapath.devices import Nic
from harness.datapath.kv_cases import EACH, KEYS, NOTHING, STORE, STORED, check_first
from harness.datapath.kv_script import FIRST, SECOND, done, get, scripts, set_
from harness.datapath.links import within
from harness.datapath.skb_ways import Passage
from harness.datapath.topology import lay

TC = Object("kv_skb")
READING = [get(key) for key in KEYS]
# What a TC program sets, by frame: as XDP, without hints.
SETTING = {
    number: [set_(key, value) for key, value in stored.items()] for number, stored in STORED.items()
}


def held(dumped: Mapping[bytes, bytes], which: int = FIRST) -> dict[int, dict[int, bytes]]:
    """By frame: the keys of KEYS that its skb had where READING was called, with their values."""
    return {
        number: {
            key: call.value[: call.returned]
            for key, call in zip(KEYS, calls, strict=True)
            if call != NOTHING
        }
        for number, calls in done(dumped, which).items()
    }


def holding(*, keys: bool = True) -> dict[int, dict[int, bytes]]:
    """What `held` must give; keys: whether they are still there."""
    return {
        number: {key: value for key, value in stored.items() if keys and key in KEYS}
        for number, stored in STORED.items()
    }


def reading(which: int) -> list[str]:
    """Lines that have the skbs' programs at that place read."""
    return scripts(TC, dict.fromkeys(STORED, READING), which)


def passes(
    bpf: Bpf,
    nic: Nic,
    seed: int,
    passage: Passage,
    program: str = "first_then_send",
    *,
    keys: bool,
    lines: Sequence[str] = (),
) -> None:
    """What the NIC's program stored is read at TC, and at the passage's exit, or is gone there.

    program: of kv_skb, that sends the skb on. keys: whether they are there at the exit.
    lines: that run when the passage is made.
    """
    inside = within(passage.namespace)
    there = [
        TC.load(),
        *reading(FIRST),
        *reading(SECOND),
        *scripts(STORE, EACH),
        *passage.lines,
        *lines,
        *at_ingress(TC.program(program), nic.device),
        *at_ingress(TC.program("second"), passage.exit, inside),
    ]
    way = lay(
        bpf,
        nic,
        STORE.name,
        "pass",
        there,
        observed=[passage.exit],
        namespace=passage.namespace,
    )
    way.capture(passage.frames(len(STORED), seed))
    check_first(bpf)
    dumped = bpf.dump(TC.map("scripts"))
    assert held(dumped) == holding()
    assert held(dumped, SECOND) == holding(keys=keys)
