# SPDX-License-Identifier: GPL-2.0-only
"""SSH without a VM: a server in this process that treats commands as dropbear does."""

import contextlib
import fcntl
import io
import json
import logging
import os
import pty
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, MSG_CHANNEL_REQUEST, OPEN_SUCCEEDED

from harness import transfer
from harness.channel import MAX_COMMAND, _Worker, wrap
from harness.errors import BadCall, LabError
from harness.guest import (
    Address,
    Completed,
    Guest,
    GuestCommandFailed,
    GuestGone,
    GuestTimeout,
)

BIG = bytes(range(256)) * 8192  # 2 MiB, more than any window between the two ends
# What dropbear has words for, signames[] in svr-chansession.c: those of RFC 4254.
TOLD = (1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15)
TIMEOUT = 10.0  # seconds; a limit, never waited for when all is well


class Server(paramiko.ServerInterface):
    """Runs what it is asked to, and like dropbear tells of some signals that they ended it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host_key = _key()
        self.transports: list[paramiko.Transport] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self.terminals: list[tuple[str, int, int]] = []
        self.resized = threading.Event()
        self.pending: threading.Thread | None = None
        self.authorized = _key()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.set_log_channel("harness.guest.paramiko")
            transport.add_server_key(self.host_key)
            handlers: dict[int, Any] = transport._channel_handler_table  # type: ignore[attr-defined]
            transport._channel_handler_table = {  # type: ignore[attr-defined]
                **handlers,
                MSG_CHANNEL_REQUEST: self._handle_request,
            }
            self.transports.append(transport)
            transport.start_server(event=threading.Event(), server=self)

    def close(self) -> None:
        self.listener.close()
        self.vanish()
        for process in self.processes:
            process.kill()
            process.wait()

    def vanish(self) -> None:
        for transport in self.transports:
            transport.close()

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        good = username == "root" and key.asbytes() == self.authorized.asbytes()
        return AUTH_SUCCESSFUL if good else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_pty_request(self, channel: Any, term: Any, *size: Any) -> bool:
        self.terminals.append((term.decode(), *size[:2]))
        return True

    def check_channel_window_change_request(self, channel: Any, *size: Any) -> bool:
        self.terminals.append(("resized", *size[:2]))
        self.resized.set()
        return True

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if b"refuse me" in command:
            return False
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
        )
        self.processes.append(process)
        self.pending = threading.Thread(target=self._attend, args=(channel, process), daemon=True)
        return True

    def _handle_request(self, channel: paramiko.Channel, message: Any) -> None:
        """A command may end before paramiko has said that it was started; dropbear is in order."""
        self.pending = None
        channel._handle_request(message)  # type: ignore[attr-defined]
        if self.pending:
            self.pending.start()

    def _attend(self, channel: paramiko.Channel, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin and process.stdout and process.stderr

        def copy(read: Callable[[int], bytes], write: Callable[[bytes], object]) -> None:
            try:
                while data := read(32768):
                    write(data)
            except (OSError, ValueError):
                pass

        def feed(stdin: IO[bytes]) -> None:
            def write(data: bytes) -> None:
                stdin.write(data)
                stdin.flush()

            copy(channel.recv, write)
            with contextlib.suppress(OSError):
                stdin.close()

        outputs = [
            threading.Thread(target=copy, args=(process.stdout.read1, channel.sendall)),  # type: ignore[attr-defined]
            threading.Thread(target=copy, args=(process.stderr.read1, channel.sendall_stderr)),  # type: ignore[attr-defined]
        ]
        threading.Thread(target=feed, args=(process.stdin,), daemon=True).start()
        for output in outputs:
            output.daemon = True
            output.start()
        status = process.wait()
        for output in outputs:
            output.join()
        if status >= 0:
            channel.send_exit_status(status)
        elif -status in TOLD:
            message = _exit_signal(channel, signal.Signals(-status))
            transport: Any = channel.transport
            transport._send_user_message(message)
        channel.close()


def _exit_signal(channel: Any, number: signal.Signals) -> paramiko.Message:
    message = paramiko.Message()
    message.add_byte(bytes([MSG_CHANNEL_REQUEST]))
    message.add_int(channel.remote_chanid)
    message.add_string("exit-signal")
    message.add_boolean(False)
    message.add_string(number.name.removeprefix("SIG"))
    message.add_boolean(False)
    message.add_string("")
    message.add_string("")
    return message


def _key() -> paramiko.Ed25519Key:
    return paramiko.Ed25519Key.from_private_key(io.StringIO(_private_key()))


def _private_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The guest's programs are busybox's, if this machine has them."""
    path = os.environ["PATH"]
    if busybox := shutil.which("busybox"):
        applets = tmp_path_factory.mktemp("applets")
        for name in ("tar", "stat", "cat", "mv", "mkdir", "rm"):
            (applets / name).symlink_to(busybox)
        path = f"{applets}:{path}"
    return {"PATH": path}


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[Server]:
    server = Server(environment)
    yield server
    server.close()


@pytest.fixture(scope="module")
def address(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Address:
    key = tmp_path_factory.mktemp("keys") / "key"
    key.write_text(_private_key())
    server.authorized = paramiko.Ed25519Key.from_private_key_file(str(key))
    port = server.listener.getsockname()[1]
    return Address("127.0.0.1", port, key, f"ssh-ed25519 {server.host_key.get_base64()} lab")


def _logged_in(
    address: Address, deadline: float = TIMEOUT, *, clock_is_wrong: bool = False
) -> Guest:
    knock = address.knock(deadline)
    guest = Guest.negotiate(address, deadline=deadline, knock=knock, clock_is_wrong=clock_is_wrong)
    guest.log_in()
    return guest


@pytest.fixture(scope="module")
def guest(address: Address) -> Iterator[Guest]:
    with _logged_in(address) as guest:
        yield guest


def test_an_address_survives_json(address: Address) -> None:
    assert Address.from_json(json.loads(json.dumps(address.to_json()))) == address


def test_wrap_keeps_the_command_and_is_bounded() -> None:
    assert wrap("echo 'a b'") == b"""eval 'echo '"'"'a b'"'"''; exit $?"""
    assert wrap("\udcff") == b"eval '\xff'; exit $?"
    with pytest.raises(BadCall):
        wrap("x" * MAX_COMMAND)
    assert wrap("true", "date; ") == b"date; eval true; exit $?"


@pytest.mark.parametrize(
    "command", ["echo 'open", "echo \\", "cat <<END\nwords", "true # said", "("]
)
def test_a_command_ends_where_its_text_does(guest: Guest, command: str) -> None:
    by_hand = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False)
    done = guest.run(command)
    assert (done.status, done.stdout) == (by_hand.returncode, by_hand.stdout)


def test_run_gives_all_three_and_the_input_arrives(guest: Guest) -> None:
    done = guest.run("cat; echo oops >&2; exit 3", stdin=b"\0\xff\r\n")
    assert (done.status, done.stdout, done.stderr) == (3, b"\0\xff\r\n", b"oops\n")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_death_by_signal_is_128_and_the_signal(guest: Guest, number: signal.Signals) -> None:
    assert guest.run(f"kill -{number.value} $$").status == 128 + number
    assert guest.run(f"sh -c 'kill -{number.value} $$'; exit $?").status == 128 + number


def test_a_signal_that_the_sshd_has_no_name_for(guest: Guest) -> None:
    assert guest.run("sh -c 'kill -BUS $$'").status == 128 + signal.SIGBUS
    with pytest.raises(GuestGone, match="closed the channel"):
        guest.run("kill -BUS $$")


def test_sh_raises_what_failed(guest: Guest) -> None:
    assert guest.sh("echo fine") == "fine\n"
    with pytest.raises(GuestCommandFailed) as caught:
        guest.sh("echo why >&2; exit 4")
    error = caught.value
    assert (error.command, error.exit_status) == ("echo why >&2; exit 4", 4)
    assert "why" in error.render()


def test_megabytes_go_both_ways_at_once(guest: Guest) -> None:
    assert guest.run("cat", stdin=BIG).stdout == BIG
    assert guest.run("cat >&2", stdin=BIG).stderr == BIG


def test_input_that_nobody_reads_is_no_error(guest: Guest) -> None:
    assert guest.run("exit 5", stdin=BIG * 2).status == 5


def test_a_timeout_spares_the_connection(guest: Guest) -> None:
    started = time.monotonic()
    with pytest.raises(GuestTimeout, match=r"0\.1 s in the guest: sleep 60"):
        guest.run("sleep 60", timeout=0.1)
    assert time.monotonic() - started < TIMEOUT
    assert guest.sh("echo still here") == "still here\n"


def test_a_refused_command_is_said_to_be_refused(guest: Guest) -> None:
    with pytest.raises(GuestGone, match="closed the channel of: refuse me"):
        guest.run("refuse me")
    assert guest.sh("echo still here") == "still here\n"


def test_stream_does_not_wait_for_input_after_the_end(guest: Guest) -> None:
    reader, writer = os.pipe()
    stdout, stderr = io.BytesIO(), io.BytesIO()
    with os.fdopen(reader, "rb") as stdin, os.fdopen(writer, "wb"):
        assert guest.stream("echo out; echo err >&2; exit 7", stdin, stdout, stderr) == 7
    assert (stdout.getvalue(), stderr.getvalue()) == (b"out\n", b"err\n")
    assert [each for each in threading.enumerate() if isinstance(each, _Worker)] == []


def test_stream_passes_bytes_and_their_end_from_a_pipe(guest: Guest) -> None:
    reader, writer = os.pipe()

    def write() -> None:
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(BIG)

    thread = threading.Thread(target=write)
    thread.start()
    stdout = io.BytesIO()
    with os.fdopen(reader, "rb") as stdin:
        assert guest.stream("cat; echo end", stdin, stdout, io.BytesIO()) == 0
    thread.join()
    assert stdout.getvalue() == BIG + b"end\n"


@pytest.mark.parametrize("kind", ["null", "none", "closed", "memory"])
def test_stream_takes_any_input(guest: Guest, kind: str) -> None:
    stdout = io.BytesIO()
    with Path(os.devnull).open("rb") as null:
        closed = io.BytesIO()
        closed.close()
        stdin = {"null": null, "none": None, "closed": closed, "memory": io.BytesIO(b"x")}[kind]
        assert guest.stream("cat", stdin, stdout, io.BytesIO()) == 0
    assert stdout.getvalue() == (b"x" if kind == "memory" else b"")


def test_stream_shows_output_before_the_end(guest: Guest) -> None:
    """The command waits for an input that is only given once its output was seen."""
    reader, writer = os.pipe()

    class Answering(io.BytesIO):
        def flush(self) -> None:
            if self.getvalue() == b"ready\n":
                os.write(writer, b"go\n")

    stdout = Answering()
    # Else a failure of this test would be one that never ends.
    late = threading.Timer(TIMEOUT, os.write, (writer, b"too late\n"))
    late.start()
    with os.fdopen(reader, "rb") as stdin, os.fdopen(writer, "wb"):
        command = 'echo ready; read answer; echo "$answer"'
        assert guest.stream(command, stdin, stdout, io.BytesIO()) == 0
        late.cancel()
    assert stdout.getvalue() == b"ready\ngo\n"


def test_stream_raises_a_broken_pipe_and_ends(guest: Guest) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(BrokenPipeError), os.fdopen(writer, "wb", buffering=0) as stdout:
        guest.stream("yes", None, stdout, io.BytesIO())
    assert guest.sh("echo still here") == "still here\n"


def test_interact_follows_the_terminal_and_puts_it_back(
    guest: Guest, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    controller, terminal = pty.openpty()
    stdout = io.TextIOWrapper(io.BytesIO())
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
    before = termios.tcgetattr(terminal)

    def person() -> None:
        os.write(controller, b"echo typed\n")
        while b"typed" not in stdout.buffer.getvalue():
            time.sleep(0.005)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 122, 0, 0))
        os.kill(os.getpid(), signal.SIGWINCH)
        server.resized.wait(TIMEOUT)
        os.write(controller, b"exit 6\n")

    with os.fdopen(terminal, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setenv("TERM", "lab-term")
        thread = threading.Thread(target=person)
        thread.start()
        status = guest.interact()
        thread.join()
        assert termios.tcgetattr(terminal) == before
    os.close(controller)
    assert status == 6
    assert server.terminals == [("lab-term", 111, 33), ("resized", 122, 44)]
    assert signal.getsignal(signal.SIGWINCH) == signal.SIG_DFL


def test_interact_is_left_by_its_key(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    controller, terminal = pty.openpty()
    os.write(controller, b"\x1d")  # typed ahead
    with os.fdopen(terminal, "r") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
        assert guest.interact() == 130
    os.close(controller)


def test_put_and_get_return_the_same(guest: Guest, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "big").write_bytes(BIG)
    (tree / "sub" / "big").chmod(0o751)
    (tree / ("n" * 150)).write_text("a long name")
    (tree / ".hidden").write_text("")
    (tree / "away").symlink_to("/nonexistent")
    there, here = tmp_path / "it's there" / "deep", tmp_path / "here"
    (tmp_path / "-x").write_text("a name like an option")
    guest.put([tree, tmp_path / "-x"], str(there))
    guest.get([f"{there}/tree", f"{there}/-x", "/proc/self/status"], here)
    listing = ["find", ".", "-not", "-name", "status", "-printf", "%p %y %m %l\n"]
    for at in (there, here):
        assert {path.name for path in at.iterdir()} - {"status"} == {"tree", "-x"}
    expected = subprocess.run([*listing], cwd=tree, capture_output=True, check=True).stdout
    arrived = subprocess.run([*listing], cwd=here / "tree", capture_output=True, check=True)
    assert sorted(arrived.stdout.splitlines()) == sorted(expected.splitlines())
    assert (here / "tree/sub/big").read_bytes() == BIG
    assert "Name:" in (here / "status").read_text()  # its size is said to be 0


def test_put_adds_to_a_directory_and_replaces_files(guest: Guest, tmp_path: Path) -> None:
    old, new = tmp_path / "there" / "d", tmp_path / "d"
    for directory in (old, new):
        directory.mkdir(parents=True)
        (directory / "both").write_text(str(directory))
        (directory / directory.parent.name).write_text("")
    guest.put([new], str(old.parent))
    assert {path.name for path in old.iterdir()} == {"both", "there", tmp_path.name}
    assert (old / "both").read_text() == str(new)


def test_put_of_a_missing_file_sends_nothing(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(BadCall, match="missing"):
        guest.put([tmp_path / "a", tmp_path / "missing"], str(tmp_path / "there"))
    assert not (tmp_path / "there").exists()


def test_a_put_that_was_cut_off_leaves_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    """Cut at every block, of which some are headers, where tar has no complaint."""
    (tmp_path / "file").write_bytes(bytes(1500))
    archive = io.BytesIO()
    transfer.pack({"file": tmp_path / "file"}, lambda data: void(archive.write(data)))
    script = transfer.unpack_script(str(tmp_path / "there"))
    last = archive.getvalue().index(b"complete")
    for length in range(0, last + 1, 512):
        done = subprocess.run(
            ["/bin/sh", "-c", script],
            input=archive.getvalue()[:length],
            env=environment,
            capture_output=True,
            timeout=TIMEOUT,
        )
        assert done.returncode != 0
        assert list((tmp_path / "there").iterdir()) == []


def void(_: object) -> None:
    return None


def test_get_of_a_missing_file_names_it_and_leaves_nothing(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(BadCall, match="/no/such"):
        guest.get([str(tmp_path / "a"), "/no/such"], tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_a_get_that_fails_halfway_leaves_nothing(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    (tmp_path / "here").mkdir()
    with pytest.raises(GuestCommandFailed):
        guest.get([str(tmp_path / "a"), "/proc/self/mem"], tmp_path / "here")
    assert list((tmp_path / "here").iterdir()) == []


def test_two_files_of_one_name_are_refused(guest: Guest, tmp_path: Path) -> None:
    with pytest.raises(BadCall, match="become one"):
        guest.get(["/a/x", "/b/x"], tmp_path)
    with pytest.raises(BadCall, match="not a name"):
        guest.get(["/"], tmp_path)


def test_an_archive_may_not_lead_outside(tmp_path: Path) -> None:
    for name in ("../evil", "/evil"):
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.addfile(tarfile.TarInfo(name))
        archive.seek(0)
        with pytest.raises(LabError, match="outside"):
            transfer.unpack(archive, tmp_path / name.strip("./"))
        shutil.rmtree(tmp_path / "evil")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("link/evil"))
    archive.seek(0)
    (tmp_path / "outside").mkdir()
    with pytest.raises(OSError):
        transfer.unpack(archive, tmp_path / "inside")
    assert list((tmp_path / "outside").iterdir()) == []


def test_another_host_key_is_refused(address: Address) -> None:
    wrong = Address(address.host, address.port, address.key, f"ssh-ed25519 {_key().get_base64()}")
    with pytest.raises(LabError, match="another host key"):
        _logged_in(wrong)


def test_another_user_key_is_refused(address: Address, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(_private_key())
    wrong = Address(address.host, address.port, tmp_path / "key", address.host_key)
    with pytest.raises(LabError, match="refuses the key"):
        _logged_in(wrong)


def test_a_guest_that_vanishes_is_one_clear_error(
    address: Address,
    server: Server,
    capfd: pytest.CaptureFixture[str],
) -> None:
    guest = _logged_in(address)
    started = threading.Event()

    class Started(io.BytesIO):
        def flush(self) -> None:
            started.set()

    def vanish() -> None:
        started.wait(TIMEOUT)
        server.transports[-1].close()

    threading.Thread(target=vanish).start()
    with pytest.raises(GuestGone, match="is gone: echo ready"):
        guest.stream("echo ready; sleep 60", None, Started(), io.BytesIO())
    with pytest.raises(GuestGone):
        guest.run("true")
    guest.close()
    assert capfd.readouterr() == ("", "")
    # Nor would it be printed where, unlike here, nobody has set up logging.
    logger = logging.getLogger("harness.guest.paramiko")
    assert logger.handlers and not logger.propagate


def test_a_login_that_does_not_come_about_is_one_clear_error(
    address: Address, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nobody = Address("127.0.0.1", silent.getsockname()[1], address.key, address.host_key)
        started = time.monotonic()
        with pytest.raises(GuestGone, match="no SSH session"):
            _logged_in(nobody, deadline=0.1)
        assert time.monotonic() - started < 2.0
        knock = nobody.knock(TIMEOUT)
        silent.accept()[0].close()  # that of the first try
        silent.accept()[0].close()
        with pytest.raises(GuestGone, match="no SSH session"):
            Guest.negotiate(nobody, deadline=TIMEOUT, knock=knock).log_in()
    with pytest.raises(GuestGone, match="refused"):
        _logged_in(nobody, deadline=0.1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("streamed", [False, True])
def test_only_the_first_command_sets_a_wrong_clock(
    address: Address, environment: dict[str, str], tmp_path: Path, streamed: bool
) -> None:
    date = tmp_path / "date"
    date.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/set\n')
    date.chmod(0o755)
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    with _logged_in(address, clock_is_wrong=True) as guest:
        before = time.time()
        if streamed:
            stdout = io.BytesIO()
            assert guest.stream("echo first; exit 3", None, stdout, io.BytesIO()) == 3
            assert stdout.getvalue() == b"first\n"
        else:
            assert guest.run("echo first; exit 3") == Completed(3, b"first\n", b"")
        assert guest.sh("echo second") == "second\n"
    options, at = (tmp_path / "set").read_text().split()
    assert options == "-us"
    assert -1 <= int(at.removeprefix("@")) - before <= 2
