# SPDX-License-Identifier: GPL-2.0-only
"""Machines that have what a user asked for, as their guests see it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.core.errors import BadCall
from harness.machine.options import Options
from harness.machine.session import starter
from harness.machine.vm import Machine
from harness.testing.fixtures import Testbed

pytestmark = [pytest.mark.slow, pytest.mark.unchanged]

Boots = Callable[[Options], Machine]


@pytest.fixture
def boots(testbed: Testbed) -> Iterator[Boots]:
    """What starts machines with options, which live as long as the test; their state does, too."""
    with ExitStack() as stack:

        def boot(options: Options) -> Machine:
            artefacts = testbed.artefacts.with_options(options)
            stack.callback(artefacts.state.remove)
            return stack.enter_context(starter(artefacts.plan)())

        yield boot


def test_cpus_memory_and_words(boots: Boots) -> None:
    machine = boots(Options(cpus=3, memory=768, append="lab.word=1 quiet"))
    assert machine.guest.sh("nproc") == "3\n"
    assert machine.guest.sh("cat /proc/cmdline").endswith(" lab.word=1 quiet ignore_loglevel\n")
    kib = int(machine.guest.sh("grep MemTotal /proc/meminfo").split()[1])
    assert 600 << 10 < kib < 768 << 10


def test_the_second_one_is_restored_and_no_other(boots: Boots) -> None:
    """A state of the lab's own machine, or of one with other options, is another one's."""
    three, four = Options(cpus=3), Options(cpus=4)
    assert [boots(options).restored for options in (three, three, four, four)] == [
        False,
        True,
        False,
        True,
    ]


def test_a_folder_of_the_host_is_there_and_can_not_be_written_to(
    boots: Boots, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("words")
    options = Options(share=str(tmp_path))
    machine = boots(options)
    assert machine.guest.sh("cat /mnt/share/file") == "words"
    (tmp_path / "later").write_text("seen too")
    assert machine.guest.sh("cat /mnt/share/later") == "seen too"
    assert machine.guest.run("mount -o remount,rw /mnt/share; echo >/mnt/share/file").status
    assert (tmp_path / "file").read_text() == "words"
    assert not boots(options).restored


def test_words_for_qemu_are_a_device_in_the_guest(boots: Boots) -> None:
    """The class of a random number generator, as a PCI device says it."""
    machine = boots(Options(qemu=("-device", "virtio-rng-pci")))
    assert "0x00ff00" in machine.guest.sh("cat /sys/bus/pci/devices/*/class")


def test_more_cpus_than_the_kernel_knows(testbed: Testbed) -> None:
    most = testbed.artefacts.kernel.most_cpus
    with pytest.raises(BadCall, match=f"built for {most} CPUs, not for {most + 1}"):
        testbed.artefacts.with_options(Options(cpus=most + 1))
