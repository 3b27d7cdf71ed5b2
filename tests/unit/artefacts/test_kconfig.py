# SPDX-License-Identifier: GPL-2.0-only
"""An option that was asked for and dropped is named, with the dependency that it lacks."""

from pathlib import Path

import pytest

from harness.artefacts.kconfig import dropped, may_lack, parse, read_fragment, refuse_modules_alone
from harness.core.errors import BadCall

KCONFIG = """\
source "drivers/Kconfig"

config BPF
	bool

config BPF_SYSCALL
	bool "Enable bpf() system call"
	select BPF
	help
	  config NOT_AN_OPTION
	  depends on NOTHING

choice
	prompt "Optimisation"

config FAST
	bool "Fast"

config SMALL
	bool "Small"

endchoice

config STALL
	int "Stall time-out"
	range 3 300

config NET
	bool

config VIRTIO
	tristate

config LEGACY
	bool
"""
DRIVERS = """\
menuconfig NETDEVICES
	bool "Network devices"
	depends on NET

if NETDEVICES

config VIRTIO_NET
	tristate "Virtio network driver"
	depends on VIRTIO && \\
		!LEGACY

config TOLD_TWICE
	bool "One way"
	depends on LEGACY

endif

menu "Others"
	depends on OTHERS

config ODD
	bool "Odd"

endmenu

config TOLD_TWICE
	bool "Another way"
	depends on VIRTIO=m
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "Kconfig").write_text(KCONFIG)
    (tmp_path / "drivers").mkdir()
    (tmp_path / "drivers/Kconfig").write_text(DRIVERS)
    return tmp_path


def reasons(tree: Path, wanted: str, result: str) -> list[str]:
    return [str(lost) for lost in dropped(parse(wanted), parse(result), tree)]


def test_fragments_are_read_as_kconfig_writes_them() -> None:
    text = '# comment\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="x y"\nCONFIG_D=0x10\n'
    assert parse(text) == {"A": "y", "B": "n", "C": '"x y"', "D": "0x10"}


def test_what_is_there_is_not_dropped(tree: Path) -> None:
    wanted = "CONFIG_NETDEVICES=y\n# CONFIG_ABSENT is not set\n# CONFIG_FAST is not set\n"
    assert reasons(tree, wanted, "CONFIG_NETDEVICES=y\n# CONFIG_FAST is not set\n") == []


def test_an_unmet_dependency_is_named_with_its_value(tree: Path) -> None:
    result = "CONFIG_NET=y\nCONFIG_NETDEVICES=y\nCONFIG_VIRTIO=y\nCONFIG_LEGACY=y\n"
    assert reasons(tree, "CONFIG_VIRTIO_NET=y", result) == [
        "CONFIG_VIRTIO_NET=y became n: unmet: depends on VIRTIO && !LEGACY (VIRTIO=y, LEGACY=y)"
    ]


def test_the_menu_or_if_around_an_option_counts(tree: Path) -> None:
    assert reasons(tree, "CONFIG_VIRTIO_NET=y", "CONFIG_VIRTIO=y") == [
        "CONFIG_VIRTIO_NET=y became n: unmet: depends on NETDEVICES (NETDEVICES=n)"
    ]
    assert reasons(tree, "CONFIG_ODD=y", "") == [
        "CONFIG_ODD=y became n: unmet: depends on OTHERS (OTHERS=n)"
    ]


def test_each_definition_is_a_way(tree: Path) -> None:
    assert reasons(tree, "CONFIG_TOLD_TWICE=y", "CONFIG_NETDEVICES=y\nCONFIG_VIRTIO=y\n") == [
        "CONFIG_TOLD_TWICE=y became n: unmet: depends on LEGACY (LEGACY=n),"
        " or depends on VIRTIO=m (VIRTIO=y)"
    ]


def test_a_definition_whose_conditions_hold_is_not_blamed(tree: Path) -> None:
    result = "CONFIG_NETDEVICES=y\nCONFIG_LEGACY=y\n"
    assert "unmet" not in reasons(tree, "CONFIG_TOLD_TWICE=y", result)[0]


@pytest.mark.parametrize(
    ("wanted", "result", "reason"),
    [
        ("CONFIG_MISSPELT=y", "", "CONFIG_MISSPELT=y became n: this kernel has no such option"),
        ("CONFIG_NOT_AN_OPTION=y", "", "CONFIG_NOT_AN_OPTION=y became n: this kernel has no such"
         " option"),
        ("CONFIG_BPF=y", "", "CONFIG_BPF=y became n: it has no prompt, only others select it:"
         " BPF_SYSCALL"),
        ("CONFIG_SMALL=y", "CONFIG_FAST=y", "CONFIG_SMALL=y became n: another option of the same"
         " choice is set"),
        ("CONFIG_STALL=600", "CONFIG_STALL=300", "CONFIG_STALL=600 became 300: the value is out of"
         " the option's range or another one overrides it"),
    ],
)  # fmt: skip
def test_other_reasons(tree: Path, wanted: str, result: str, reason: str) -> None:
    assert reasons(tree, wanted, result) == [reason]


def test_what_kconfig_finds_out_by_itself_was_not_to_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "Kconfig").write_text(
        "config LD_VERSION\n\tint\n\tdefault 24000\n"
        'config PROMPTED\n\tint "Something"\n'
        "config SELECTED\n\tbool\n"
        'config SELECTS\n\tbool "Selects"\n\tselect SELECTED\n'
    )
    wanted = "CONFIG_LD_VERSION=1\nCONFIG_PROMPTED=1\nCONFIG_SELECTED=y\nCONFIG_GONE=y\n"
    lost = dropped(parse(wanted), {}, tmp_path)
    assert {option.name for option in lost if option.derived} == {"LD_VERSION"}
    assert len(lost) == 4


COMPARES = """\
config NR_CPUS
	int

config STRICT
	bool "Needs many CPUs" if EXPERT # and somebody who knows
	depends on NR_CPUS >= 4 && SMP
	default y

config SMP
	bool "Several CPUs"

config HALF
	tristate "No more than what it needs"
	depends on M

config M
	tristate "A module"

config EXPERT
	bool "Expert"

config ASKS
	bool "Selects where many CPUs are"
	select FORCED if NR_CPUS > 8
	select STRONG

config FORCED
	bool "Selected"

config STRONG
	bool "Selected"

config COMPILED
	bool 'In single quotes'
	depends on $(cc-option,-fno-$(x)) && !$(success,(:)) && SMP

menu "Seen by some"
	visible if EXPERT

config HIDDEN
	bool "Hidden"
	default y

endmenu

choice
	prompt "One of these" if EXPERT

config ONE
	bool "One"

endchoice

config WORDY
	bool "Has help"
	help
	  The last line of it ends in a backslash. \\

config BEHIND
	bool "Behind the help"
"""


@pytest.mark.parametrize(
    ("wanted", "result", "reason"),
    [
        ("CONFIG_STRICT=y", "CONFIG_NR_CPUS=2\nCONFIG_EXPERT=y\nCONFIG_SMP=y", "unmet: depends on"
         " NR_CPUS >= 4 && SMP (NR_CPUS=2, SMP=y)"),
        ("CONFIG_STRICT=y", "CONFIG_NR_CPUS=64\nCONFIG_SMP=y", "unmet: prompt if EXPERT"
         " (EXPERT=n)"),
        ("# CONFIG_STRICT is not set", "CONFIG_STRICT=y\nCONFIG_NR_CPUS=64\nCONFIG_SMP=y",
         "unmet: prompt if EXPERT (EXPERT=n)"),
        ("CONFIG_HALF=y", "CONFIG_HALF=m\nCONFIG_M=m\nCONFIG_MODULES=y", "unmet: depends on M"
         " (M=m)"),
        ("# CONFIG_FORCED is not set", "CONFIG_FORCED=y\nCONFIG_ASKS=y\nCONFIG_NR_CPUS=16",
         "selected by ASKS"),
        ("# CONFIG_FORCED is not set", "CONFIG_FORCED=y\nCONFIG_ASKS=y\nCONFIG_NR_CPUS=8",
         "it can't be switched off"),
        ("CONFIG_STRONG=m", "CONFIG_STRONG=y\nCONFIG_ASKS=y\nCONFIG_MODULES=y",
         "selected by ASKS"),
        ("CONFIG_SMP=m", "CONFIG_MODULES=y", "it is no module, only y or n"),
        ("CONFIG_COMPILED=y", "", 'unmet: depends on $(cc-option,-fno-$(x)) &&'
         ' !$(success,(:)) && SMP (SMP=n)'),
        ("CONFIG_COMPILED=y", "CONFIG_SMP=y", "perhaps unmet: depends on $(cc-option,-fno-$(x)) &&"
         " !$(success,(:)) && SMP (SMP=y)"),
        ("# CONFIG_HIDDEN is not set", "CONFIG_HIDDEN=y", "unmet: visible if EXPERT (EXPERT=n)"),
        ("CONFIG_ONE=y", "", "unmet: prompt if EXPERT (EXPERT=n)"),
        ("CONFIG_BEHIND=y", "", "the value is out of the option's range or another one"
         " overrides it"),
    ],
)  # fmt: skip
def test_the_reason_is_what_kconfig_says(
    tmp_path: Path, wanted: str, result: str, reason: str
) -> None:
    (tmp_path / "Kconfig").write_text(COMPARES)
    (told,) = reasons(tmp_path, wanted, result)
    assert told.partition(": ")[2] == reason


def test_the_architecture_is_x86(tmp_path: Path) -> None:
    (tmp_path / "arch/x86").mkdir(parents=True)
    (tmp_path / "Kconfig").write_text('source "arch/$(SRCARCH)/Kconfig"\n')
    where = tmp_path / "arch/x86/Kconfig"
    where.write_text('config WIDE\n\tbool "Wide"\n\tdepends on "$(ARCH)" != "x86" && A\n')
    (told,) = reasons(tmp_path, "CONFIG_WIDE=y", "CONFIG_A=y")
    assert 'unmet: depends on "x86" != "x86" && A (A=y)' in told


@pytest.mark.parametrize("line", ["CONFIG_VETH = y", "VETH=y", "CONFIG_TUN y", "\0binary"])
def test_a_line_of_a_fragment_that_asks_for_nothing_is_named(tmp_path: Path, line: str) -> None:
    fragment = tmp_path / "my.config"
    fragment.write_text(f"# mine\n\nCONFIG_NET=y\n# CONFIG_USB is not set\n{line}\n")
    with pytest.raises(BadCall, match=r"my\.config, line 5 is no option"):
        read_fragment(fragment)


def test_a_fragment_is_read(tmp_path: Path) -> None:
    fragment = tmp_path / "my.config"
    fragment.write_text("# mine\n\nCONFIG_NET=y\n# CONFIG_USB is not set\n")
    assert read_fragment(fragment) == {"NET": "y", "USB": "n"}


@pytest.mark.parametrize("text", ["CONFIG_MODULES=y\n", ""])
@pytest.mark.parametrize("own", ["CONFIG_MODULES=n\n", "# CONFIG_MODULES is not set\n", ""])
def test_modules_want_a_kernel_with_modules(tmp_path: Path, own: str, text: str) -> None:
    lab, user = tmp_path / "config", tmp_path / "fragment"
    lab.write_text(f"{own}CONFIG_BONDING=y\n")
    user.write_text(f"CONFIG_VETH=m\nCONFIG_BONDING=m\n{text}CONFIG_VETH=y\n")
    if text:
        refuse_modules_alone([lab, user])
        return
    with pytest.raises(BadCall) as caught:
        refuse_modules_alone([lab, user])
    assert caught.value.message.splitlines()[1:] == [f"  {user}, line 2: CONFIG_BONDING=m"]
    assert "CONFIG_MODULES=y" in caught.value.hint


def test_who_wants_no_module_needs_none(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("CONFIG_BONDING=m\n")
    (tmp_path / "fragment").write_text("CONFIG_BONDING=y\n")
    refuse_modules_alone([tmp_path / "config", tmp_path / "fragment"])


def test_a_section_says_what_another_kernel_may_lack(tmp_path: Path) -> None:
    fragment = tmp_path / "config"
    fragment.write_text(
        "# What another kernel may lack: a word.\nCONFIG_NETKIT=y\n# CONFIG_VT is not set\n\n"
        "# Indispensable.\nCONFIG_NET=y\n\nCONFIG_BPF=y\n"
    )
    assert may_lack(fragment) == {"NETKIT", "VT"}
