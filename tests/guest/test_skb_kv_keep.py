# SPDX-License-Identifier: GPL-2.0-only
"""A device that was told to keep what programs in another network namespace stored."""

import errno
from collections.abc import Callable

import pytest

from harness.api import (
    SLOW,
    Bpf,
    Nic,
    Passage,
    attach,
    by_gretap,
    by_ipvlan,
    by_macvlan,
    by_netkit,
    by_veth,
    by_vlan,
    by_vxlan,
    devmap,
    lay,
    random_frames,
    veth,
    within,
)
from harness.datapath.bpf import LINK
from harness.datapath.kv_cases import STORE, STORED, check_first, given, read
from harness.datapath.kv_script import SECOND, done
from harness.datapath.skb_cases import passes
from harness.datapath.skb_ways import FAR, by_macvlan_source, by_macvlan_to_all, keep

By = Callable[[str], Passage]


@pytest.mark.parametrize(
    "by",
    [
        by_veth,
        *(
            pytest.param(by, marks=SLOW)
            for by in (
                by_netkit,
                by_vlan,
                by_macvlan,
                by_macvlan_to_all,
                by_macvlan_source,
                by_ipvlan,
                by_gretap,
                by_vxlan,
            )
        ),
    ],
)
def test_what_it_receives_keeps_its_keys(bpf: Bpf, nic: Nic, seed: int, by: By) -> None:
    passage = by(FAR)
    passes(bpf, nic, seed, passage, keys=True, lines=[keep(passage.exit, "1", FAR)])


@SLOW
def test_a_peer_that_is_redirected_to(bpf: Bpf, nic: Nic, seed: int) -> None:
    lines = [keep("v1", "1", FAR)]
    passes(bpf, nic, seed, by_veth(FAR), "first_then_peer", keys=True, lines=lines)


@SLOW
@pytest.mark.parametrize("by", [by_veth, by_netkit, by_macvlan])
def test_the_sender_does_not_decide(bpf: Bpf, nic: Nic, seed: int, by: By) -> None:
    senders: dict[By, str] = {by_veth: "v0", by_netkit: "n0", by_macvlan: "v1"}
    lines = [keep(senders[by], "1")]
    passes(bpf, nic, seed, by(FAR), keys=False, lines=lines)


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "no longer"])
def test_a_frames_keys(bpf: Bpf, nic: Nic, seed: int, kept: bool) -> None:
    """What a veth is sent by XDP; told so, and told the contrary."""
    lines = [
        *veth(napi=False, namespace=FAR),
        *given(),
        *devmap(STORE),
        within(FAR) + attach(STORE.program("pass_second"), "v1"),
        keep("v1", "1", FAR),
        *([] if kept else [keep("v1", "0", FAR)]),
    ]
    way = lay(bpf, nic, STORE.name, "to_dev", lines, observed=["v1"], namespace=FAR)
    way.capture(random_frames(len(STORED), seed))
    check_first(bpf)
    second = done(bpf.dump(STORE.map("scripts")), SECOND)
    assert second == {number: read(number, keys=kept) for number in STORED}


def refused(bpf: Bpf, line: str) -> int:
    """The error of a line that must fail."""
    printed = bpf.run([f"{line} || true"])
    return int(printed)


def test_it_is_set_and_shown(bpf: Bpf) -> None:
    lines = [*veth(napi=False), keep("v0"), keep("v0", "1"), keep("v0"), keep("v1")]
    assert bpf.run([*lines, keep("v0", "0"), keep("v0")]).split() == ["0", "1", "0", "0"]
    assert refused(bpf, keep("v0", "2")) == errno.ERANGE


def test_who_listens_hears_of_it(bpf: Bpf) -> None:
    lines = [
        "ip link add d0 type dummy",
        "ip link set dev d0 up",
        ": >/tmp/heard; ip monitor link dev d0 >>/tmp/heard & listens=$!",
        # More than what the device's coming up can still be told of.
        "while [ $(grep -c d0: /tmp/heard) -lt 6 ]; do",
        f"{keep('d0', '1')}; {keep('d0', '0')}; done",
        "kill $listens; wait $listens || true",
        "grep -c d0: /tmp/heard; rm /tmp/heard",
    ]
    assert int(bpf.run(lines)) >= 6


def test_it_is_not_set_at_creation(bpf: Bpf) -> None:
    """Where it would not be asked who sets it: an error, and no device."""
    assert refused(bpf, f"{LINK} create d0 1") == errno.EOPNOTSUPP
    assert "d0" not in bpf.run(["ls /sys/class/net"])
    bpf.run(["ip link add d0 type dummy"])


def test_a_container_does_not_open_its_own_door(bpf: Bpf) -> None:
    """Root in a user namespace, that rules over its network namespace, may do all but that.

    To set what is set already is no change.
    """
    inside = "ip link add d0 type dummy; ip link set d0 mtu 1400"
    calls = "; ".join([inside, keep("d0", "0"), keep("d0", "1"), keep("d0")])
    printed = bpf.run([f"unshare -U -r -n sh -c '{calls}'"])
    assert printed.split() == [str(errno.EPERM), "0"]


def test_nor_does_it_close_one_that_the_host_opened(bpf: Bpf) -> None:
    """Though it may do all else with the device."""
    inside = "nsenter -t $there -U -n --preserve-credentials"
    lines = [
        "ip link add d0 type dummy",
        keep("d0", "1"),
        "unshare -U -r -n sleep 60 & there=$!",
        "own=$(readlink /proc/self/ns/net)",
        'while [ "$(readlink /proc/$there/ns/net)" = "$own" ]; do :; done',
        "while ! grep -q . /proc/$there/uid_map; do :; done",
        "ip link set dev d0 netns $there",
        f"{inside} /bin/ip link set dev d0 mtu 1400",
        f"{inside} {keep('d0', '0')} || true",
        f"{inside} {keep('d0')}",
        "kill $there; wait $there || true",
    ]
    assert bpf.run(lines).split() == [str(errno.EPERM), "1"]
