# SPDX-License-Identifier: GPL-2.0-only
"""Keys and values stay in their network namespace, while hints go on into another."""

import errno

import pytest

from harness.api import (
    SLOW,
    Bpf,
    Nic,
    Object,
    attach,
    devmap,
    entry,
    lay,
    observe,
    random_frames,
    seen,
    veth,
    within,
)
from harness.datapath.hints import UNSET
from harness.datapath.kv_cases import (
    EACH,
    OK,
    READ,
    STORE,
    STORED,
    check_first,
    given,
    hints_of,
    read,
)
from harness.datapath.kv_script import SECOND, THIRD, Kind, done, move, scripts
from harness.datapath.links import VETH2_INDEX, VETH_INDEX
from harness.datapath.topology import OBSERVE

PASS = Object("xdp_pass")
PLAIN = Object("redirect_plain")
FAR = "far"


@SLOW
@pytest.mark.parametrize("namespace", ["", FAR], ids=["here", "far"])
def test_back_by_xdp_tx_to_a_veth_peer(bpf: Bpf, nic: Nic, seed: int, namespace: str) -> None:
    """In the peer's namespace, or not: there the keys are gone, and hints are not."""
    inside = within(namespace)
    lines = [
        *veth(napi=False, namespace=namespace),
        *given(),
        *devmap(STORE),
        inside + attach(STORE.program("tx"), "v1"),
        attach(STORE.program("pass_third"), "v0"),
    ]
    way = lay(bpf, nic, STORE.name, "to_dev", lines, observed=["v0"])
    records = way.capture(random_frames(len(STORED), seed))
    assert len(records) == len(STORED)
    check_first(bpf)
    dumped = bpf.dump(STORE.map("scripts"))
    expected = {number: read(number, keys=not namespace) for number in STORED}
    assert done(dumped, SECOND) == expected
    assert done(dumped, THIRD) == expected
    for number in STORED:
        assert seen(records[number]) == hints_of(number).over(UNSET), number


@SLOW
@pytest.mark.parametrize("namespace", ["", FAR], ids=["here", "far"])
def test_xdp_tx_of_what_a_veths_program_stored(
    bpf: Bpf, nic: Nic, seed: int, namespace: str
) -> None:
    """The program that stores is in the peer's namespace, so only the way back is between them."""
    lines = [
        *veth(napi=False, namespace=namespace),
        STORE.load(),
        *scripts(STORE, EACH, SECOND),
        *scripts(STORE, READ, THIRD),
        *devmap(PLAIN),
        within(namespace) + attach(STORE.program("tx"), "v1"),
        attach(STORE.program("pass_third"), "v0"),
    ]
    way = lay(bpf, nic, PLAIN.name, "to_dev", lines, observed=["v0"])
    way.capture(random_frames(len(STORED), seed))
    dumped = bpf.dump(STORE.map("scripts"))
    stored = done(dumped, SECOND)
    assert {number: len(calls) for number, calls in stored.items()} == {
        number: len(calls) for number, calls in EACH.items()
    }
    assert {call.returned for calls in stored.values() for call in calls} == {OK}
    assert done(dumped, THIRD) == {number: read(number, keys=not namespace) for number in STORED}


def far_veth(*, make: bool = True) -> list[str]:
    """Lines that make w0 and w1, both in another network namespace; make: that, too."""
    inside = within(FAR)
    return [
        *([f"ip netns add {FAR}"] if make else []),
        f"{inside}/bin/ip link add w0 index {VETH2_INDEX} type veth peer name w1",
        f"{inside}/bin/ip link set dev w0 up",
        f"{inside}/bin/ip link set dev w1 up",
    ]


@SLOW
@pytest.mark.parametrize("hints", [True, False], ids=["hints too", "no hints"])
def test_what_is_gone_gives_its_headroom_back(bpf: Bpf, nic: Nic, seed: int, hints: bool) -> None:
    """A program in the other namespace takes all that one may that keys were never stored for."""
    number = 3 if hints else 4
    most = 212 if hints else 236  # of eth1's frames, see test_headroom
    growing = [
        move(Kind.HEAD, -most),
        move(Kind.HEAD, -1),
        move(Kind.HEAD, most),
    ]
    lines = [
        *veth(napi=False, namespace=FAR),
        *given(),
        *scripts(STORE, {number: growing}, SECOND),
        *devmap(STORE),
        within(FAR) + attach(STORE.program("pass_second"), "v1"),
    ]
    way = lay(bpf, nic, STORE.name, "to_dev", lines, observed=["v1"], namespace=FAR)
    way.capture(random_frames(len(STORED), seed))
    check_first(bpf)
    grown = done(bpf.dump(STORE.map("scripts")), SECOND)[number]
    assert [call.returned for call in grown] == [OK, -errno.EINVAL, OK]


@SLOW
@pytest.mark.parametrize("mode", ["xdpdrv", "xdpgeneric"])
@pytest.mark.parametrize("namespace", [FAR, ""], ids=["to the same", "to here"])
def test_from_another_namespace(bpf: Bpf, nic: Nic, seed: int, namespace: str, mode: str) -> None:
    """The program that stores is there; the entry's device there as well, or here."""
    inside = within(namespace)
    lines = [
        *veth(napi=False, namespace=FAR),
        *(far_veth(make=False) if namespace else veth("w", VETH2_INDEX, napi=False)),
        STORE.load(),
        *given(),
        PASS.load(),
        inside + attach(PASS.program("xdp_pass"), "w1"),
        *devmap(PLAIN),
        inside + entry(STORE.map("devmap"), 0, VETH2_INDEX, STORE.program("on_devmap")),
        within(FAR) + attach(STORE.program("to_dev"), "v1", mode),
        *([f"{within(FAR)}/bin/ethtool -K v1 gro on"] if mode == "xdpgeneric" else []),
    ]
    way = lay(bpf, nic, PLAIN.name, "to_dev", lines, observed=["w1"], namespace=namespace)
    way.capture(random_frames(len(STORED), seed))
    check_first(bpf)
    second = done(bpf.dump(STORE.map("scripts")), SECOND)
    assert second == {number: read(number, keys=bool(namespace)) for number in STORED}


@pytest.mark.parametrize("mode", ["xdpdrv", pytest.param("xdpgeneric", marks=SLOW)])
def test_an_entrys_device_in_another_namespace(bpf: Bpf, nic: Nic, seed: int, mode: str) -> None:
    """It is there because the map was written to from there; its program sees no key."""
    inside = within(FAR)
    lines = [
        *far_veth(),
        PASS.load(),
        inside + attach(PASS.program("xdp_pass"), "w1"),
        *given(),
        inside + entry(STORE.map("devmap"), 0, VETH2_INDEX, STORE.program("on_devmap")),
    ]
    way = lay(bpf, nic, STORE.name, "to_dev", lines, observed=["w1"], mode=mode, namespace=FAR)
    way.capture(random_frames(len(STORED), seed))
    check_first(bpf)
    second = done(bpf.dump(STORE.map("scripts")), SECOND)
    assert second == {number: read(number, keys=False) for number in STORED}


@SLOW
@pytest.mark.parametrize("mode", ["xdpdrv", "xdpgeneric"])
@pytest.mark.parametrize("far_first", [False, True], ids=["here first", "far first"])
def test_a_copy_of_a_broadcast_loses_them_by_itself(
    bpf: Bpf, nic: Nic, seed: int, far_first: bool, mode: str
) -> None:
    """The programs on the entries read."""
    inside = within(FAR)
    here, far = (1, 0) if far_first else (0, 1)
    lines = [
        *veth(),
        *far_veth(),
        *given(),
        entry(STORE.map("devmap"), here, VETH_INDEX, STORE.program("on_devmap")),
        inside + entry(STORE.map("devmap"), far, VETH2_INDEX, STORE.program("third_on_devmap")),
        PASS.load(),
        inside + attach(PASS.program("xdp_pass"), "w1"),
        *observe(OBSERVE, "w1", inside),
    ]
    way = lay(bpf, nic, STORE.name, "to_all", lines, observed=["v1"], mode=mode)
    way.capture_copies(random_frames(len(STORED), seed), 2)
    check_first(bpf)
    dumped = bpf.dump(STORE.map("scripts"))
    assert done(dumped, SECOND) == {number: read(number) for number in STORED}
    assert done(dumped, THIRD) == {number: read(number, keys=False) for number in STORED}


@SLOW
@pytest.mark.parametrize("far_first", [False, True], ids=["here first", "far first"])
def test_a_clone_of_a_broadcast_loses_them_on_its_way(
    bpf: Bpf, nic: Nic, seed: int, far_first: bool
) -> None:
    """v1, in this namespace, is sent one, and w1, in another, the other."""
    inside = within(FAR)
    here, far = (1, 0) if far_first else (0, 1)
    lines = [
        *veth(napi=False),
        *far_veth(),
        *given(),
        entry(STORE.map("devmap"), here, VETH_INDEX, STORE.program("pass_on_devmap")),
        inside + entry(STORE.map("devmap"), far, VETH2_INDEX, STORE.program("pass_on_devmap")),
        attach(STORE.program("pass_second"), "v1"),
        inside + attach(STORE.program("pass_third"), "w1"),
        *observe(OBSERVE, "w1", inside),
    ]
    way = lay(bpf, nic, STORE.name, "to_all", lines, observed=["v1"])
    way.capture_copies(random_frames(len(STORED), seed), 2)
    check_first(bpf)
    dumped = bpf.dump(STORE.map("scripts"))
    assert done(dumped, SECOND) == {number: read(number) for number in STORED}
    assert done(dumped, THIRD) == {number: read(number, keys=False) for number in STORED}
