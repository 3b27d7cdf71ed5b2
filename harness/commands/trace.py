# SPDX-License-Identifier: GPL-2.0-only
"""`./lab trace`: the function graph of kernel functions while tests run, by the guest's tracefs."""

import shlex
from collections.abc import Generator, Sequence
from pathlib import Path

import pytest

from harness.core.errors import BadCall, LabError, TestsFailed
from harness.core.lock import locked
from harness.core.progress import say
from harness.core.workspace import Selection, build_root
from harness.machine.ssh.guest import Guest, GuestCommandFailed
from harness.testing import suite
from harness.testing.fixtures import DUT
from harness.testing.names import as_file_name

BUFFER_KB = 8192  # for each CPU; what is older is overwritten
START = """
cd /sys/kernel/tracing
echo nop >current_tracer
echo {buffer} >buffer_size_kb
echo >set_graph_function
for function in {functions}; do
	echo "$function" >>set_graph_function || exit
done
echo function_graph >current_tracer
echo >trace
echo 1 >tracing_on
"""
STOP = """
cd /sys/kernel/tracing
echo 0 >tracing_on
cat trace
echo nop >current_tracer
echo >set_graph_function
"""


class Trace:
    """A pytest plugin. functions: of the kernel, with * for any. directory: gets NAME.trace."""

    def __init__(self, functions: Sequence[str], directory: Path) -> None:
        self._functions = functions
        self._directory = directory
        self.files: list[Path] = []
        self.refused: BadCall | None = None
        directory.mkdir(parents=True, exist_ok=True)
        for old in directory.glob("*.trace"):
            old.unlink()

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Trace what a test does, whether it passes or not; its reset is no part of it."""
        dut = item.stash.get(DUT, None)
        if dut is None:
            return (yield)
        guest = dut.machine.guest
        self._start(guest)
        try:
            return (yield)
        finally:
            name = as_file_name(item.nodeid)
            file = self._directory / f"{name}.trace"
            # A guest that is gone has its own say in the test's end.
            try:
                file.write_text(guest.sh(STOP))
                self.files.append(file)
            except LabError as error:
                item.add_report_section("call", "trace", error.message)

    def _start(self, guest: Guest) -> None:
        names = shlex.join(self._functions)
        try:
            guest.sh(START.format(buffer=BUFFER_KB, functions=names))
        except GuestCommandFailed:
            self.refused = BadCall(
                f"the kernel does not trace all of these: {names}",
                hint="./lab shell cat /sys/kernel/tracing/available_filter_functions",
            )
            pytest.exit(self.refused.message)


def trace(words: Sequence[str]) -> None:
    """Run tests under the function graph tracer. words: FUNCTION... -- PYTEST ARGUMENTS."""
    if "--" not in words or not words[: list(words).index("--")]:
        raise BadCall("trace takes functions, then tests", hint="./lab trace FUNCTION... -- TEST")
    at = list(words).index("--")
    directory = build_root() / "trace"
    with locked(directory, "traces"), suite.own_machines(Selection.load()) as testbed:
        plugin = Trace(words[:at], directory)
        try:
            passed = suite.run_tests(testbed, [*words[at + 1 :], "-n", "0"], plugin)
        except KeyboardInterrupt:
            raise (plugin.refused or KeyboardInterrupt) from None
    for file in plugin.files:
        say(f"trace     {file}: {len(file.read_text().splitlines())} lines")
    if not passed:
        raise TestsFailed("not all tests passed")
