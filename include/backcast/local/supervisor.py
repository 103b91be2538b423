"""A supervisord of our own: starts the programs, restarts what dies, and ends all of it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import xmlrpc.client
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from importlib import resources
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final, cast

from supervisor.xmlrpc import SupervisorTransport

from backcast.domain.errors import BackcastError
from backcast.local.leftovers import config_path, forget_session, note_session
from backcast.local.processes import end_session, session_members

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SOCKET_PATH_LIMIT: Final = 100  # 104 bytes on macOS, 108 on Linux
_STOP_SECONDS: Final = 15.0
_GONE: Final = (OSError, HTTPException, xmlrpc.client.Error)


@dataclass(frozen=True, slots=True)
class Program:
    """Something to keep running: started when alive for `startsecs`, killed when it takes `stopwaitsecs` to end."""

    name: str
    command: Sequence[str]
    startsecs: int = 3
    stopwaitsecs: int = 8


class Supervisor:
    """A running supervisord, and what it says about its programs."""

    def __init__(self, process: subprocess.Popen[bytes], socket: Path, logs: Path) -> None:
        self._process = process
        self._socket = socket
        self._logs = logs

    def check(self) -> None:
        """Look whether everything runs, or is about to.

        Raises:
            BackcastError: a program was given up, or supervisord itself is gone; the message holds its last lines.
        """
        if self._process.poll() is not None:
            raise BackcastError(f"supervisord ended by itself; {_tail(self._logs / 'supervisord.log')}")
        dead = [name for name, state in self._states().items() if state == "FATAL"]
        if dead:
            raise BackcastError(f"{dead[0]} does not stay alive; {_tail(self._logs / f'{dead[0]}.log')}")

    def _states(self) -> dict[str, str]:
        try:
            told = cast("list[dict[str, str]]", self._server().supervisor.getAllProcessInfo())
        except _GONE:
            return {}  # not listening yet, or busy ending: the next look will tell
        return {one["name"]: one["statename"] for one in told}

    def _server(self) -> xmlrpc.client.ServerProxy:
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)


@contextmanager
def supervised(programs: Sequence[Program], home: Path, env: dict[str, str]) -> Iterator[Supervisor]:
    """Keep programs running for the length of a `with` block; nothing of them is left afterwards.

    They are looked up on the PATH of `env`, and run in a folder of `home` that holds nothing they could import.
    """
    run, logs = home / "run", home / "logs"
    run.mkdir(parents=True, exist_ok=True)
    logs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="backcast-") as short:
        socket = run / "supervisor.sock"
        if len(os.fsencode(socket)) > _SOCKET_PATH_LIMIT:
            socket = Path(short) / "supervisor.sock"
        config = config_path(home)
        config.write_text(_render(programs, os.path.relpath(socket, run)), encoding="utf-8")
        # A session of its own: Ctrl-C in the terminal reaches only us, and we end the rest in order.
        process = subprocess.Popen(  # noqa: S603  our own interpreter and our own file
            [sys.executable, "-m", "supervisor.supervisord", "-c", config],
            env=env,
            cwd=run,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            note_session(home, process.pid)
            yield Supervisor(process, socket, logs)
        finally:
            _end(process)
            forget_session(home)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    # supervisord ends its programs' process groups; this reaches also what left its group.
    if session_members(process.pid):
        end_session(process.pid, grace_seconds=2.0)


def _render(programs: Sequence[Program], socket: str) -> str:
    # All paths are relative: supervisord expands `%` in some of its values once and in others twice.
    text = _template("supervisord.conf").substitute(socket=_escape(socket))
    for program in programs:
        command = _escape(shlex.join(program.command))
        seconds = {"startsecs": program.startsecs, "stopwaitsecs": program.stopwaitsecs}
        text += _template("program.conf").substitute(name=program.name, command=command, **seconds)
    return text


def _template(name: str) -> Template:
    return Template((resources.files("backcast.local") / "templates" / name).read_text(encoding="utf-8"))


def _escape(value: str) -> str:
    return value.replace("%", "%%")


def _tail(log: Path, lines: int = 15) -> str:
    try:
        last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    except OSError:
        last = ["(nothing)"]
    return f"{log} ends with:\n" + "\n".join(last)
