# SPDX-License-Identifier: GPL-2.0-only
"""No memory for an skb's keys. Run by its name, on a kernel with FAILSLAB, see config.debug.

Documentation/fault-injection/fault-injection.rst: of one cache's allocations each fails, or
each but the first.
"""

import errno
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.api import (
    Bpf,
    Call,
    Nic,
    at_ingress,
    attach,
    bridge,
    delete,
    flow_through,
    get,
    lay,
    random_frames,
    seen,
    set_,
    veth,
)
from harness.datapath.hints import UNSET, by_nic
from harness.datapath.kv_cases import EACH, NOTHING, OK, STORE, STORED, check_first, hints_of
from harness.datapath.kv_names import CREATE, GRO_LAST, Request, call, listed, names
from harness.datapath.kv_script import SECOND, THIRD, Done, done, found, scripts
from harness.datapath.links import VETH2_INDEX
from harness.datapath.skb_cases import TC, held, holding, reading
from harness.datapath.skb_ways import ENTRANCE, another_extension

FAULTS = "/sys/kernel/debug/failslab"
CACHE = "/sys/kernel/slab/skbuff_ext_cache"
OLD, NEW = b"12345678", b"87654321"


@contextmanager
def failing(bpf: Bpf, *, but_the_first: bool = False) -> Iterator[None]:
    """Meanwhile each allocation of the skbs' extensions fails, or each but the first."""
    settings = {"probability": 100, "interval": 1, "times": -1, "verbose": 0}
    # What is allocated is taken off: the first one leaves 1, which is enough for none.
    space = f"$(($(cat {CACHE}/object_size) + 1))" if but_the_first else "0"
    bpf.run(
        [
            f"[ -d {FAULTS} ] || mount -t debugfs none /sys/kernel/debug",
            *(f"echo {value} > {FAULTS}/{name}" for name, value in settings.items()),
            f"echo {space} > {FAULTS}/space",
            f"echo Y > {FAULTS}/cache-filter",
            f"echo 1 > {CACHE}/failslab",
        ]
    )
    try:
        yield
    finally:
        bpf.run([f"echo 0 > {CACHE}/failslab", f"echo 0 > {FAULTS}/probability"])


def returned(calls: list[Done]) -> list[int]:
    return [call.returned for call in calls]


@pytest.mark.parametrize("mode", ["xdpdrv", "xdpgeneric"])
def test_what_xdp_stored(bpf: Bpf, nic: Nic, seed: int, mode: str) -> None:
    """The packet goes on with its hints, and is counted."""
    lines = [
        TC.load(),
        *reading(SECOND),
        *scripts(STORE, EACH),
        *at_ingress(TC.program("second"), nic.device),
    ]
    way = lay(bpf, nic, STORE.name, "pass", lines, observed=[nic.device], mode=mode)
    frames = random_frames(len(STORED), seed)
    lost = listed(bpf)[1]
    with failing(bpf):
        records = way.capture(frames)
    check_first(bpf)
    assert held(bpf.dump(TC.map("scripts")), SECOND) == holding(keys=False)
    for sent in frames:
        before = by_nic(sent, way.rss_key) if mode == "xdpgeneric" else UNSET
        assert seen(records[sent.id]) == hints_of(sent.id).over(before)
    assert listed(bpf)[1] == lost + sum(map(bool, STORED.values()))


def test_calls_at_tc(bpf: Bpf, nic: Nic, seed: int) -> None:
    lines = [
        TC.load(),
        *scripts(TC, {0: [set_(5, OLD), get(5), delete(5)]}),
        *at_ingress(TC.program("first"), nic.device),
    ]
    way = lay(bpf, nic, "xdp_pass", "xdp_pass", lines, observed=[nic.device])
    with failing(bpf):
        way.capture(random_frames(1, seed))
    ran = done(bpf.dump(TC.map("scripts")))
    assert returned(ran[0]) == [-errno.ENOMEM, -errno.ENOENT, -errno.ENOENT]


@pytest.mark.parametrize(
    "change", [set_(5, NEW), delete(5), set_(6, NEW)], ids=["other value", "gone", "other key"]
)
def test_a_clone(bpf: Bpf, nic: Nic, seed: int, change: Call) -> None:
    """What can't be copied is not changed, in neither of the two."""
    looking = [get(5), get(6), get(7)]
    lines = [
        *veth("v", ENTRANCE, napi=False),
        TC.load(),
        *scripts(TC, {0: [set_(5, OLD), set_(7, OLD)]}),
        *scripts(TC, {0: [change, *looking]}, THIRD),
        *scripts(TC, {0: looking}, SECOND),
        *at_ingress(TC.program("first_then_clone"), nic.device),
        *at_ingress(TC.program("second"), "v1"),
    ]
    way = lay(bpf, nic, "xdp_pass", "xdp_pass", lines, observed=["v1"])
    with failing(bpf, but_the_first=True):
        way.capture(random_frames(1, seed))
    dumped = bpf.dump(TC.map("scripts"))
    assert returned(done(dumped)[0]) == [OK, OK]
    failed, *held_then = done(dumped, THIRD)[0]
    assert failed.returned == -errno.ENOMEM
    assert held_then == done(dumped, SECOND)[0] == [found(OLD), NOTHING, found(OLD)]


def test_xdp_passes_a_clone(bpf: Bpf, nic: Nic, seed: int) -> None:
    """It keeps what it had, and is counted; the other one waits: see test_skb_kv_border.py."""
    lines = [
        *veth("v", ENTRANCE, napi=False),
        *veth("w", VETH2_INDEX, napi=False),
        *bridge("w0", nic.device),
        TC.load(),
        STORE.load(),
        *scripts(TC, {0: [set_(5, OLD)]}),
        *scripts(STORE, {0: [set_(5, NEW), set_(6, NEW)]}, SECOND),
        *scripts(TC, {0: [get(5), get(6)]}, SECOND),
        attach(STORE.program("pass_second"), "v1"),
        *at_ingress(TC.program("first_then_clone"), nic.device),
        *at_ingress(TC.program("second"), "v1"),
    ]
    way = lay(bpf, nic, "xdp_pass", "xdp_pass", lines, observed=["v1", "w1"])
    lost = listed(bpf)[1]
    with failing(bpf, but_the_first=True):
        way.capture_copies(random_frames(1, seed), 2)
    assert returned(done(bpf.dump(STORE.map("scripts")), SECOND)[0]) == [OK, OK]
    dumped = bpf.dump(TC.map("scripts"))
    assert returned(done(dumped)[0]) == [OK]
    assert done(dumped, SECOND)[0] == [found(OLD), NOTHING]
    assert listed(bpf)[1] == lost + 1


def test_beside_another_extension(bpf: Bpf, nic: Nic, seed: int) -> None:
    """Where that has to go the keys go, too, and the packet is counted. See test_skb_kv.py."""
    lines = [
        *veth(napi=False),
        *bridge("v0", nic.device),
        TC.load(),
        *scripts(TC, {0: [set_(5, OLD)]}),
        *scripts(TC, {0: [get(5)]}, SECOND),
        *at_ingress(TC.program("first"), nic.device),
        *at_ingress(TC.program("second"), "v1"),
        *another_extension(nic.device, "v1"),
    ]
    way = lay(bpf, nic, "xdp_pass", "xdp_pass", lines, observed=["v1"])
    lost = listed(bpf)[1]
    with failing(bpf, but_the_first=True):
        way.capture(random_frames(1, seed))
    dumped = bpf.dump(TC.map("scripts"))
    assert returned(done(dumped)[0]) == [OK]
    assert done(dumped, SECOND)[0] == [NOTHING]
    assert listed(bpf)[1] == lost + 1


def test_gro_does_not_merge(bpf: Bpf) -> None:
    """A packet without keys with one whose key it would have to take."""
    value = struct.pack("<Q", 1)
    with names(bpf):
        (key,) = call(bpf, [Request(10, 8, CREATE | GRO_LAST)])
        with failing(bpf, but_the_first=True):
            merged = flow_through(bpf, {1: [set_(key, value)]}, 2, keys=[key])
    assert sorted((skb.packets, dict(skb.values)) for skb in merged) == [
        ((0,), {}),
        ((1,), {key: value}),
    ]
