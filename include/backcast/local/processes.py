"""Processes of this machine: are they alive, what are they, and the end of a whole session of them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_PROC: Final = Path("/proc")
_POLL_SECONDS: Final = 0.05


def is_alive(pid: int) -> bool:
    """Tell whether a process with this id exists and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _is_zombie(pid)


def command_line(pid: int) -> str:
    """Return the command line of a process, or an empty text if there is none to be seen."""
    if _PROC.is_dir():
        try:
            return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return ""
    return _ps("-o", "command=", "-p", str(pid)).strip()


def session_members(session: int) -> list[int]:
    """Return the processes of a session: all that a supervisor started, and whatever those started."""
    return [pid for pid in _all_pids() if _session_of(pid) == session and is_alive(pid)]


def end_session(session: int, *, grace_seconds: float) -> None:
    """Ask every process of a session to end, and kill what is left after the grace period."""
    for number, seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0)):
        for pid in session_members(session):
            _signal(pid, number)
        if wait_until(lambda: not session_members(session), seconds):
            return


def wait_until(reached: Callable[[], bool], seconds: float) -> bool:
    """Wait until something is so, for so many seconds at most, and tell whether it is."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _all_pids() -> list[int]:
    if _PROC.is_dir():
        return [int(name) for name in os.listdir(_PROC) if name.isdigit()]  # noqa: PTH208  no need for Path objects
    return [int(word) for word in _ps("-A", "-o", "pid=").split()]


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def _is_zombie(pid: int) -> bool:
    if not _PROC.is_dir():
        return "Z" in _ps("-o", "stat=", "-p", str(pid))
    try:
        # The state follows the name, which is in parentheses and may itself contain some.
        return (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2][1] == "Z"
    except (OSError, IndexError):
        return True


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _ps(*arguments: str) -> str:
    done = subprocess.run(["ps", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return done.stdout
