"""Code that nobody has read is run within limits, reaches no network and no other file, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backcast.sandbox.leftovers import take_away
from backcast.sandbox.running import Ended, Isolation, Limits, Places, Sandbox, SandboxError, isolation_here

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = isolation_here()
NOTHING = Isolation("not asked for", "not asked for")
full_only = pytest.mark.skipif(bool(HERE.missing), reason=f"the whole sandbox cannot be had here: {HERE.missing}")
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone can restrict system calls")
# With all isolation that there is, and with none.
both = pytest.mark.parametrize("isolation", [HERE, NOTHING], ids=["isolated", "limits"])
# One that everybody can reach: as root, the commands are somebody else's.
PYTHON = shutil.which("python3", path="/usr/local/bin:/usr/bin") or sys.executable
LIMITS = Limits(seconds=3, memory=1_000_000_000)


class Ran:
    """Runs Python in sandboxes whose files lie where everybody can reach them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.scratch = folder, folder / "scratch"
        self.scratch.mkdir()
        self.outside = folder / "outside"
        self.outside.mkdir()
        self.outside.chmod(0o777)

    def __call__(self, isolation: Isolation, code: str, limits: Limits = LIMITS) -> Ended:
        sandbox = Sandbox(isolation)
        if sandbox.user is not None:
            os.chown(self.scratch, sandbox.user, sandbox.user)
        readable = [Path(PYTHON).parents[1], Path(PYTHON).resolve().parents[1]]
        places = Places(self.scratch, readable, [self.scratch], self.folder / "staging")
        return sandbox.run([PYTHON, "-I", "-c", code], {"PATH": "/usr/bin:/bin"}, places, limits)


@pytest.fixture
def ran() -> Iterator[Ran]:
    # Not pytest's own folders, which are closed to others.
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Ran(Path(made))


@both
def test_what_uses_all_of_the_time_is_ended(ran: Ran, isolation: Isolation) -> None:
    ended = ran(isolation, "while True: pass", Limits(1, LIMITS.memory))
    assert ended.how == "too long" or ended.exit_code == -signal.SIGXCPU
    assert ended.seconds < 5


@linux_only
@both
def test_what_uses_up_its_processor_time_in_less_than_its_time_is_told_so(ran: Ran, isolation: Isolation) -> None:
    code = (
        "import resource, signal\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (1, resource.getrlimit(resource.RLIMIT_CPU)[1]))\n"
        "print(resource.getrlimit(resource.RLIMIT_CPU), flush=True)\n"
        "while True: pass\n"
    )
    ended = ran(isolation, code, Limits(10, LIMITS.memory))
    assert (ended.exit_code, ended.output) == (-signal.SIGXCPU, "(1, 11)\n")


@both
def test_what_sleeps_beyond_its_time_is_ended_with_all_that_it_has_started(ran: Ran, isolation: Isolation) -> None:
    name = f"a-name-of-its-own-{os.getpid()}"
    code = (
        "import os, subprocess, time\n"
        "subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        f"print('{name}', flush=True)\n"
        "time.sleep(600)\n"
    )
    sleepers = count_of("sleep 600")
    ended = ran(isolation, code, Limits(1, LIMITS.memory))
    assert (ended.how, ended.output.strip()) == ("too long", name)
    assert count_of("sleep 600") == sleepers


def count_of(command: str) -> int:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return listed.splitlines().count(command)


@both
def test_a_fork_bomb_stops_at_the_limit_and_leaves_nothing_behind(ran: Ran, isolation: Isolation) -> None:
    code = (
        "import os, time\n"
        "made = 0\n"
        "try:\n"
        "    while True:\n"
        "        if os.fork() == 0:\n"
        "            os.setsid()\n"
        "            time.sleep(611)\n"
        "        made += 1\n"
        "except BlockingIOError:\n"
        "    print(made, flush=True)\n"
    )
    ended = ran(isolation, code)
    assert 10 < int(ended.output) < 200
    sandbox = Sandbox(isolation)
    if sandbox.user is not None:
        left = subprocess.run(
            ["ps", "-o", "pid=", "-u", str(sandbox.user)], capture_output=True, text=True, check=False
        )
        assert left.stdout.split() == []


@both
def test_memory_beyond_the_limit_is_not_to_be_had(ran: Ran, isolation: Isolation) -> None:
    ended = ran(isolation, "bytearray(2_000_000_000)")
    assert (ended.exit_code, "MemoryError" in ended.output) == (1, True)


@both
def test_a_file_beyond_the_limit_is_not_written(ran: Ran, isolation: Isolation) -> None:
    ended = ran(isolation, "open('large', 'wb').write(bytes(60_000_000))")
    assert (ended.exit_code, "File too large" in ended.output) == (1, True)


@both
def test_what_prints_without_an_end_is_ended_and_only_its_end_is_kept(ran: Ran, isolation: Isolation) -> None:
    ended = ran(isolation, "while True: print('x' * 1000)")
    assert ended.how == "printed too much"
    assert len(ended.output) <= 30_000


@both
def test_nothing_of_our_environment_reaches_it(ran: Ran, isolation: Isolation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret")
    ended = ran(isolation, "import os; print(sorted(os.environ)); print(os.listdir('.'))")
    assert ended.output.splitlines()[-2:] == ["['LC_CTYPE', 'PATH']", "[]"]


@full_only
def test_files_outside_of_its_own_can_be_neither_written_nor_read(ran: Ran) -> None:
    (ran.outside / "secret").write_text("secret")
    write = ran(HERE, f"open({str(ran.outside / 'made')!r}, 'w')")
    assert (write.exit_code, "Permission denied" in write.output) == (1, True)
    read = ran(HERE, f"print(open({str(ran.outside / 'secret')!r}).read())")
    assert (read.exit_code, "Permission denied" in read.output) == (1, True)
    assert ran(HERE, "open('made', 'w').write('x')").exit_code == 0
    assert not (ran.outside / "made").exists()


@full_only
def test_no_network_is_there_and_no_other_process(ran: Ran) -> None:
    with listening() as port:
        tcp = ran(HERE, f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)")
        udp = ran(
            HERE, "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))"
        )
    assert tcp.exit_code == 1
    assert (udp.exit_code, "unreachable" in udp.output) == (1, True)
    assert ran(HERE, f"import os; os.kill({os.getpid()}, 0)").exit_code == 1


@linux_only
@both
def test_no_socket_in_the_file_system_can_be_connected_to(ran: Ran, isolation: Isolation) -> None:
    path = str(ran.folder / "service")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        Path(path).chmod(0o777)
        server.listen()
        ended = ran(isolation, f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})")
    assert (ended.exit_code, "Permission denied" in ended.output) == (1, True)
    # What event loops wake themselves with.
    assert ran(isolation, "import asyncio; asyncio.run(asyncio.sleep(0))").exit_code == 0


@linux_only
@both
def test_neither_keys_nor_the_host_of_a_virtual_machine_are_to_be_had(ran: Ran, isolation: Isolation) -> None:
    ended = ran(
        isolation,
        "import ctypes, socket\n"
        "try:\n    socket.socket(40, socket.SOCK_STREAM)\nexcept PermissionError:\n    print('no host')\n"
        "keyctl = 250 if __import__('platform').machine() == 'x86_64' else 219\n"
        "print(ctypes.CDLL(None).syscall(keyctl, 0, -3, 1))\n",
    )
    assert ended.output.split("\n")[:2] == ["no host", "-1"]


@linux_only
@both
def test_nothing_is_sent_over_the_network(ran: Ran, isolation: Isolation) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.2)
        there = server.getsockname()
        ended = ran(isolation, f"import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', {there})")
        with pytest.raises(TimeoutError):
            server.recv(10)
    assert ended.exit_code == 1


@contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@both
def test_it_ends_with_whoever_has_started_it(ran: Ran, isolation: Isolation) -> None:
    ran(isolation, "print('it can be run here')")
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.integration.test_sandbox import Limits, Ran, HERE, NOTHING\n"
        f"run = Ran(Path({str(ran.folder / 'inner')!r}))\n"
        f"isolation = {'HERE' if isolation is HERE else 'NOTHING'}\n"
        "run(isolation, 'import time; print(1); time.sleep(623)', Limits(60, 10**9))\n"
    )
    (ran.folder / "inner").mkdir()
    starter = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    until = time.monotonic() + 20
    while not any("time.sleep(623)" in line and "-I -c" in line for line in commands()):
        assert time.monotonic() < until
        time.sleep(0.05)
    starter.kill()
    starter.wait()
    while any("time.sleep(623)" in line for line in commands()):
        assert time.monotonic() < until
        time.sleep(0.05)


def commands() -> list[str]:
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()


def test_an_interpreter_that_is_not_there_is_an_error_and_no_result(ran: Ran) -> None:
    places = Places(ran.scratch, [], [ran.scratch], ran.folder / "staging")
    with pytest.raises(SandboxError, match="could not be made"):
        Sandbox(NOTHING).run(["/nowhere/python"], {}, places, LIMITS)


def test_what_it_leaves_is_taken_away_however_deep_and_closed_it_is(ran: Ran) -> None:
    code = (
        "import os\n"
        "open('closed', 'w').close()\n"
        "os.symlink('/etc', 'elsewhere')\n"
        "for _ in range(3000):\n"
        "    os.mkdir('d')\n"
        "    os.chmod('.', 0o500)\n"
        "    os.chdir('d')\n"
    )
    assert ran(HERE, code, Limits(20, LIMITS.memory)).exit_code == 0
    take_away(ran.scratch)
    assert not ran.scratch.exists()
    assert Path("/etc/passwd").exists()
    # Of what is not there nothing is left, too.
    take_away(ran.scratch)
