# SPDX-License-Identifier: GPL-2.0-only
"""Names of keys: registered, found again, listed, given back; and what a name asks of a set."""

import errno
import random
from collections.abc import Iterator

import pytest

from harness.api import (
    SLOW,
    Bpf,
    Call,
    Nic,
    Object,
    Way,
    at_ingress,
    delete,
    lay,
    random_frames,
    set_,
    within,
)
from harness.datapath.kv_cases import OK, STORE
from harness.datapath.kv_names import (
    CREATE,
    GRO_FIRST,
    GRO_LAST,
    KEYS,
    LISTING,
    NAMES,
    Registry,
    Request,
    call,
    listed,
    names,
)
from harness.datapath.kv_script import NOEXIST, REPLACE, done, scripts

TC = Object("kv_skb")
MANY = range(10, 80)  # numbers of names that differ by nothing but that


@pytest.fixture
def registry(bpf: Bpf) -> Iterator[Registry]:
    """The twin of the kernel's, both empty."""
    with names(bpf) as twin:
        yield twin


def check(bpf: Bpf, registry: Registry, requests: list[Request]) -> None:
    """The kernel's gives what the twin gives, call by call, and is like it then."""
    wanted = [registry.call(request) for request in requests]
    assert call(bpf, requests) == wanted
    assert listed(bpf)[0] == registry.listing()


def test_what_cannot_be_a_name(bpf: Bpf, registry: Registry) -> None:
    requests = [
        *(Request(number, 4, CREATE) for number in (0, 1, 2, 3, 4)),
        *(Request(10, size, CREATE) for size in (0, 1, 3, 5, 6, 7, 9, 10, 12, 14, 16, 258, 2**31)),
        *(Request(11, 4, flags) for flags in (6, 7, 8, 9, 1 << 32 | 1, 1 << 63)),
        *(Request(number) for number in (0, 3, 11)),
    ]
    check(bpf, registry, requests)
    assert {"x", NAMES[2], NAMES[4]} == registry.names.keys()


def test_the_same_name_is_the_same_key(bpf: Bpf, registry: Registry) -> None:
    """Looked up or created; with another size, or another behaviour of GRO, it is an error."""
    requests = [Request(10, 4), Request(10, 4, CREATE), Request(5, 4), Request(5, 4, CREATE)]
    for gro in (0, GRO_FIRST, GRO_LAST):
        for size in (2, 4, 8):
            requests += [Request(10, size, gro), Request(10, size, gro | CREATE)]
    requests += [Request(10), Request(10), Request(10, 4), Request(10, 8, GRO_LAST | CREATE)]
    check(bpf, registry, requests)


@SLOW
@pytest.mark.deadline(240)  # 65 runs of programs: 102 s under KASAN
def test_a_key_is_not_soon_given_again(bpf: Bpf, registry: Registry) -> None:
    """Each has had a name before one has its second; if all have names there is none."""
    given = []
    for number in MANY[:KEYS]:
        given += call(bpf, [Request(number, 2, CREATE), Request(number)])[:1]
    assert sorted(given) == list(range(KEYS))
    requests = [Request(number, 8, CREATE) for number in MANY]
    requests += [Request(20), Request(79, 8, CREATE), Request(20, 8, CREATE)]
    registry = Registry(_given=given[-1])
    check(bpf, registry, requests)
    assert len(registry.names) == KEYS


@SLOW
def test_random_calls(bpf: Bpf, registry: Registry, seed: int) -> None:
    source = random.Random(seed)
    for _ in range(8):
        requests = []
        for _ in range(250):
            number = source.choice((*NAMES, *range(10, 16)))
            size = source.choice((2, 4, 8, 8, source.randrange(12)))
            flags = source.choice((0, 1, 1, 2, 3, 3, 4, 5, 5, source.randrange(16)))
            gone = source.random() < 0.3
            requests.append(Request(number) if gone else Request(number, size, flags))
        check(bpf, registry, requests)


@SLOW
@pytest.mark.parametrize("order", [1, -1], ids=["same", "opposite"])
def test_two_cpus_at_once(bpf: Bpf, registry: Registry, order: int) -> None:
    """They create the same names, call by call: each name has one key, and each its own.

    Where the machine's CPUs share one of the host's (QEMU's thread=single, on a host with too
    few for the machines that run side by side), they take turns, and hardly ever meet.
    """
    one = [Request(number, 4, CREATE) for number in MANY[:KEYS]]
    for _ in range(4):
        keys = call(bpf, one, one[::order])
        first, second = keys[:KEYS], keys[KEYS:][::order]
        assert first == second
        assert sorted(first) == list(range(KEYS))
        gone = [Request(request.name) for request in one]
        assert sorted(call(bpf, gone, gone)) == [-errno.ENOENT] * KEYS + [0] * KEYS


def test_another_network_namespace_lists_the_same(bpf: Bpf, registry: Registry) -> None:
    check(bpf, registry, [Request(10, 4, CREATE), Request(11, 8, CREATE | GRO_FIRST)])
    here, far = f"cat {LISTING}", f"{within('far')}/bin/cat {LISTING}"
    printed = bpf.run(["ip netns add far", here, "echo", far]).split("\n\n")
    assert printed[0].splitlines() == printed[1].splitlines() != []


TRIED = 2, 4, 8, 0, 1, 3, 6, 10, 12, 14, 16  # sizes


def sets(key: int, flags: int) -> list[Call]:
    """Values of each size for a key, that is taken away between them."""
    return [call for size in TRIED for call in (set_(key, bytes(size), flags), delete(key))]


def returned(size: int | None) -> list[int]:
    """What the sets return, where a name with that size has the key."""
    return [OK if one in (2, 4, 8) and size in (None, one) else -errno.EINVAL for one in TRIED]


def lay_sets(bpf: Bpf, nic: Nic) -> Way:
    """A way whose XDP program sets, and then a TC program."""
    lines = [TC.load(), *at_ingress(TC.program("second"), nic.device)]
    return lay(bpf, nic, STORE.name, "pass", lines, observed=[nic.device])


def check_sets(bpf: Bpf, way: Way, seed: int, wanted: dict[int, int | None]) -> None:
    """What a set of each key returns, in XDP and at TC."""
    keys = [(key, flags) for key in wanted for flags in (0, NOEXIST, REPLACE)]
    calls = {number: sets(*each) for number, each in enumerate(keys)}
    bpf.run([*scripts(STORE, calls), *scripts(TC, calls, 1 << 16)])
    way.capture(random_frames(len(calls), seed))
    for program, which in ((STORE, 0), (TC, 1 << 16)):
        ran = done(bpf.dump(program.map("scripts")), which)
        for number, (key, flags) in enumerate(keys):
            got = [one.returned for one in ran[number][::2]]
            assert got == returned(wanted[key]), (program.name, key, flags)


def test_a_set_of_another_size(bpf: Bpf, nic: Nic, seed: int, registry: Registry) -> None:
    """Is refused as long as the key has its name, in XDP and at TC."""
    way = lay_sets(bpf, nic)
    requests = [Request(10, 2, CREATE), Request(11, 4, CREATE), Request(12, 8, CREATE | GRO_LAST)]
    keys = call(bpf, requests)
    other = (keys[-1] - 1) % KEYS
    check_sets(bpf, way, seed, {**dict(zip(keys, (2, 4, 8), strict=True)), other: None})
    call(bpf, [Request(11)])
    check_sets(bpf, way, seed + 1, dict(zip(keys, (2, None, 8), strict=True)))
