# SPDX-License-Identifier: GPL-2.0-only
"""What compilers print, as `patches check` compares it; and the words of `patches`."""

from pathlib import Path

import pytest

from harness.artefacts.patches import Commit
from harness.artefacts.strict import own_objects
from harness.commands import patches
from harness.core.errors import BadCall
from harness.series import selection
from harness.series.review import complaints, of_a_kfunc, without_later

# As gcc 12, sparse 0.6.4 and kernel-doc print them.
PRINTED = """\
  CC      net/core/xdp.o
In file included from ../linux/net/core/xdp.c:9:
../linux/include/net/xdp.h: In function 'xdp_buff_rx_meta':
../linux/include/net/xdp.h:190:6: warning: unused variable 'x' [-Wunused-variable]
/lab/build/linux/net/core/xdp.c:12:1: error: expected ';' before '}' token
  CHECK   /lab/build/linux/net/core/xdp.c
/lab/build/linux/net/core/xdp.c:877:13: warning: restricted __be16 degrades to integer
/lab/build/linux/net/core/xdp.c:877:13: note: a note
../linux/net/core/filter.c:11: warning: Function parameter 'a' not described in 'f'
./include/generated/asm.h:1:1: warning: of a made file
"""


def test_complaints_are_told_by_file_and_without_lines() -> None:
    found = list(complaints(PRINTED, Path("/lab/build/obj"), Path("/lab/build/linux")))
    assert found == [
        ("include/net/xdp.h", "warning: unused variable 'x' [-Wunused-variable]"),
        ("net/core/xdp.c", "error: expected ';' before '}' token"),
        ("net/core/xdp.c", "warning: restricted __be16 degrades to integer"),
        ("net/core/filter.c", "warning: Function parameter 'a' not described in 'f'"),
        ("/lab/build/obj/include/generated/asm.h", "warning: of a made file"),
    ]


ASKED = """\
# Over `config`.
CONFIG_IGC=y
CONFIG_IGC_KUNIT_TEST=y
# CONFIG_IGC_LEDS is not set
"""
LATER = """\
--- a/drivers/net/ethernet/intel/Kconfig
+++ b/drivers/net/ethernet/intel/Kconfig
@@ -380,4 +380,10 @@ config IGC
 config IGC
-config IGC_OLD
+config IGC_KUNIT_TEST
+\tbool "KUnit tests for igc"
+menuconfig IGC_LEDS
"""


def test_a_patch_is_not_asked_for_options_of_later_ones() -> None:
    assert without_later(ASKED, LATER) == "# Over `config`.\nCONFIG_IGC=y\n"
    assert without_later(ASKED, "") == ASKED


KFUNC = """\
static int plain(void)
{
}

__bpf_kfunc int bpf_xdp_store(struct xdp_md *ctx,
                              u32 hash)
{
        return other(ctx);
}
"""


def test_only_a_kfunc_may_lack_a_prototype(tmp_path: Path) -> None:
    (tmp_path / "xdp.c").write_text(KFUNC)

    def pardoned(name: str, said: str = "was not declared. Should it be static?") -> bool:
        return of_a_kfunc(tmp_path, "xdp.c", f"warning: symbol '{name}' {said}")

    assert pardoned("bpf_xdp_store")
    assert not pardoned("plain")
    assert not pardoned("other")
    assert not pardoned("store")
    assert not pardoned("bpf_xdp_store", "redeclared with different type")


def test_a_file_that_another_includes_has_no_object(tmp_path: Path) -> None:
    (tmp_path / "igc_main.c").write_text('#include "igc.h"\n#include "igc_kunit.c"\n')
    (tmp_path / "igc_kunit.c").write_text("\n")
    sources = [Path("igc_main.c"), Path("igc_kunit.c")]
    assert own_objects(tmp_path, sources) == (Path("igc_main.c"),)


COMMITS = [Commit("0" * 40, f"patch {number}") for number in range(1, 13)]


def test_patches_are_named_by_their_numbers() -> None:
    assert selection.numbers("drop", ["3", "0011"], COMMITS) == {3, 11}


@pytest.mark.parametrize("words", [[], ["0"], ["13"], ["3", "x"], ["-1"], ["3.0"]])
def test_a_number_that_is_none_is_answered_with_the_series(words: list[str]) -> None:
    with pytest.raises(BadCall) as caught:
        selection.numbers("drop", words, COMMITS)
    assert "12 patch 12" in caught.value.hint


@pytest.mark.parametrize("words", [[], ["exprot"], ["export", "now"], ["upto", "a", "b"]])
def test_a_bad_word_names_what_there_is(words: list[str]) -> None:
    with pytest.raises(BadCall) as caught:
        patches.run(words)
    assert f"./lab patches {words[0] if words[1:] else 'export'}" in caught.value.hint


@pytest.mark.parametrize("verb", ["check", "cover", "upto"])
def test_a_sub_series_that_is_none_is_answered_with_those_there_are(verb: str) -> None:
    with pytest.raises(BadCall, match="no sub-series 'now'") as caught:
        patches.run([verb, "now"])
    assert "fixes, redirect" in caught.value.hint
