"""Programs are kept running, and nothing of them is left: neither at the end, nor after their owner was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from backcast.domain.errors import BackcastError, InputError
from backcast.local.clean import clean
from backcast.local.leftovers import end_leftover
from backcast.local.lock import held_home
from backcast.local.options import Api, StackOptions
from backcast.local.postgres import running_postgres
from backcast.local.processes import session_members, wait_until
from backcast.local.supervisor import Program, Supervisor, supervised

if TYPE_CHECKING:
    from pathlib import Path

# Starts a child in a process group of its own and, like some servers, does not end it.
WITH_CHILD = """
import os, subprocess, sys, time
subprocess.Popen(["sleep", "60"], process_group=0)
open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
time.sleep(60)
"""
OWNER = """
import os, sys, time
from pathlib import Path
from backcast.local.supervisor import Program, supervised
home = Path(sys.argv[1])
with supervised([Program("sleeper", ["sleep", "60"], startsecs=0)], home, dict(os.environ)):
    print("up", flush=True)
    time.sleep(60)
"""


def _session(home: Path) -> int:
    return int((home / "run" / "session").read_text().splitlines()[0])


def _check_until_dead(supervisor: Supervisor) -> None:
    def alive() -> bool:
        supervisor.check()
        return False

    wait_until(alive, 20)


def _pids(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_what_dies_is_started_again_and_all_ends_together_even_what_left_its_group(tmp_path: Path) -> None:
    home, started = tmp_path / "a home with 100 %", tmp_path / "started"
    script = tmp_path / "parent.py"
    script.write_text(WITH_CHILD)
    program = Program("parent", [sys.executable, str(script), str(started)], startsecs=0)
    with supervised([program], home, dict(os.environ)) as supervisor:
        session = _session(home)
        assert wait_until(lambda: len(_pids(started)) == 1, 20)
        os.kill(_pids(started)[0], signal.SIGKILL)
        assert wait_until(lambda: len(_pids(started)) == 2, 20)
        supervisor.check()
        assert len(session_members(session)) >= 3
    assert session_members(session) == []
    assert not (home / "run" / "session").exists()


def test_what_does_not_stay_alive_is_named_with_its_last_words(tmp_path: Path) -> None:
    program = Program("broken", ["sh", "-c", "echo no disk left; exit 3"], startsecs=1)
    with (
        supervised([program], tmp_path, dict(os.environ)) as supervisor,
        pytest.raises(BackcastError, match=r"broken does not stay alive(.|\n)*no disk left"),
    ):
        _check_until_dead(supervisor)


def test_a_secret_in_the_environment_is_on_no_command_line_and_in_no_file(tmp_path: Path) -> None:
    env = dict(os.environ) | {"SECRET": "s3cr3t"}
    with supervised([Program("sleeper", ["sleep", "60"], startsecs=0)], tmp_path, env):
        assert wait_until(lambda: len(session_members(_session(tmp_path))) == 2, 20)
        written = [path for path in tmp_path.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
        assert written == []


def test_what_a_killed_owner_left_is_found_and_ended(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "up\n"
    session = _session(tmp_path)
    assert wait_until(lambda: len(session_members(session)) == 2, 20)
    owner.kill()
    owner.communicate()
    assert len(session_members(session)) == 2
    assert end_leftover(tmp_path)
    assert session_members(session) == []
    assert not end_leftover(tmp_path)


def test_clean_removes_state_wherever_it_is_and_spares_what_is_not_ours(tmp_path: Path) -> None:
    options = StackOptions(project=tmp_path, home=tmp_path / "base", api=Api.SIMULATOR)
    home = options.api_home
    with held_home(home), running_postgres(home) as server:
        with pytest.raises(InputError, match="already runs"):
            clean(options)
        state = server.state
    (options.base / "anthropic").mkdir()
    (options.base / "anthropic" / "mine.txt").write_text("keep")
    assert clean(options) == [home]
    assert not home.exists()
    assert not state.exists()
    assert (options.base / "anthropic" / "mine.txt").exists()
