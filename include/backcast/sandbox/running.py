"""Runs one command that nobody can vouch for, and says how it ended; nothing that it starts outlives it."""

from __future__ import annotations

import json
import os
import select
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from backcast.sandbox import inside

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SUPERVISOR: Final = Path(inside.__file__)
_NAMESPACES: Final = ("--net", "--ipc", "--pid", "--mount", "--fork", "--kill-child")
# Users that systemd would give to services; nobody else is one of them in a container or on a usual machine.
_FIRST_USER, _USERS = 61_184, 4_000
_PROCESSES: Final = 64
_OPEN_FILES: Final = 256
_LARGEST_FILE: Final = 50_000_000
# What is kept of what a command prints, its end; and how much it may print before it is ended.
_KEPT_BYTES: Final = 30_000
_MOST_PRINTED: Final = 20_000_000
_GRACE_SECONDS: Final = 10.0
# All that a network namespace holds for itself; of Linux, since others have no such namespaces.
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6, getattr(socket, "AF_NETLINK", socket.AF_INET))
_SYSTEM: Final = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt/homebrew", "/etc/alternatives", "/etc/ld.so.cache",
    "/etc/localtime", "/etc/mime.types", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/hosts",
    "/dev/urandom", "/dev/random", "/dev/zero",
)  # fmt: skip


class SandboxError(Exception):
    """The command cannot be run in the sandbox that is asked for; the text says why."""


@dataclass(frozen=True, slots=True)
class Isolation:
    """What of isolation there is on this machine.

    Attributes:
        namespaces: why there are no network and processes of its own; empty when there are.
        files: why other files cannot be shut off; empty when they can.
    """

    namespaces: str
    files: str

    @property
    def missing(self) -> str:
        """Why the whole sandbox cannot be had; empty when it can."""
        return "; ".join(why for why in (self.namespaces, self.files) if why)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a command may take, in seconds, and how many bytes of memory each of its processes may have."""

    seconds: float
    memory: int


@dataclass(frozen=True, slots=True)
class Places:
    """Where a command runs, and which paths it may read and write beside those of the system.

    `staging` is a folder for the sandbox's own use, whose parent is there.
    """

    folder: Path
    readable: Sequence[Path]
    writable: Sequence[Path]
    staging: Path


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended.

    Attributes:
        how: by itself, or because its time was over, or because it printed too much.
        exit_code: negative when a signal ended it; None when we did.
        output: the end of what it printed.
        seconds: how long it took.
    """

    how: Literal["by itself", "too long", "printed too much"]
    exit_code: int | None
    output: str
    seconds: float


def _own_user() -> int | None:
    """Return a user for commands that root runs, which this process alone uses."""
    return _FIRST_USER + os.getpid() % _USERS if os.geteuid() == 0 else None


@dataclass(frozen=True)
class Sandbox:
    """Runs commands with as much isolation as there is.

    Args:
        isolation: what of it is used.
        user: who the commands are, when we are root; None: who we are.
    """

    isolation: Isolation
    user: int | None = field(default_factory=_own_user)

    def run(self, command: Sequence[str], environment: Mapping[str, str], places: Places, limits: Limits) -> Ended:
        """Run a command, and end whatever it has started.

        Args:
            command: an executable's whole path, and its arguments.
            environment: all of its environment.
            places: its files.
            limits: its time and memory.

        Raises:
            SandboxError: it could not be started.
        """
        report_out, report_in = os.pipe()
        started = time.monotonic()
        told = {
            "command": list(command),
            "environment": dict(environment),
            "folder": str(places.folder),
            "readable": [*_SYSTEM, *map(str, places.readable)],
            "writable": [os.devnull, *map(str, places.writable)],
            "landlock": not self.isolation.files,
            # Without a network of its own there is none to be had.
            "sockets": [] if self.isolation.namespaces else [int(family) for family in _FAMILIES],
            "strict": not self.isolation.missing,
            "user": self.user,
            "limits": _rlimits(limits, self.user),
            "seconds": limits.seconds,
            "staging": None if self.user is None or self.isolation.namespaces else _emptied(places.staging),
            "report": report_in,
        }
        supervisor = [*self._namespaces(), sys.executable, "-I", str(_SUPERVISOR), json.dumps(told)]
        with subprocess.Popen(  # noqa: S603  a list of arguments, no shell
            supervisor,
            # Open for as long as we live, by which the supervisor knows that we do.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={},
            pass_fds=(report_in,),
            start_new_session=True,
        ) as process:
            os.close(report_in)
            try:
                output, too_much = _read(process, started + limits.seconds + _GRACE_SECONDS)
            finally:
                _end(process)
        report = os.read(report_out, 10_000)
        os.close(report_out)
        return _ended(report, output, too_much=too_much, seconds=time.monotonic() - started)

    def _namespaces(self) -> list[str]:
        return [] if self.isolation.namespaces else _unshare()


def _emptied(folder: Path) -> str:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    return str(folder)


def isolation_here() -> Isolation:
    """Return what of isolation there is on this machine, after it was tried."""
    files = "" if inside.landlock_version() else "this kernel has no Landlock, or does not let us use it"
    return Isolation(_why_no_namespaces(), files)


def _why_no_namespaces() -> str:
    command = _unshare()
    if shutil.which(command[0]) is None:
        return "there is no `unshare`, of util-linux"
    try:
        done = subprocess.run(  # noqa: S603  as above
            [*command, "true"], capture_output=True, check=False, timeout=_GRACE_SECONDS, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"namespaces are not to be had: {error}"
    said = done.stderr.decode(errors="replace").strip()
    return f"namespaces are not allowed here: {said}" if done.returncode else ""


def _unshare() -> list[str]:
    as_nobody = [] if os.geteuid() == 0 else ["--user", "--map-current-user"]
    return [shutil.which("unshare") or "unshare", *as_nobody, *_NAMESPACES]


def _rlimits(limits: Limits, user: int | None) -> dict[str, int]:
    return {
        "RLIMIT_CORE": 0,
        "RLIMIT_CPU": max(1, round(limits.seconds)),
        "RLIMIT_FSIZE": _LARGEST_FILE,
        "RLIMIT_NOFILE": _OPEN_FILES,
        "RLIMIT_AS": limits.memory,
        **_process_limit(os.geteuid() if user is None else user),
    }


def _process_limit(user: int) -> dict[str, int]:
    """Return the limit on processes, which counts all that a user has: those that are there are not the command's."""
    proc = Path("/proc")
    if not proc.is_dir():
        return {}
    return {"RLIMIT_NPROC": _PROCESSES + sum(_threads(entry, user) for entry in proc.iterdir() if entry.name.isdigit())}


def _threads(process: Path, user: int) -> int:
    try:
        return len(list((process / "task").iterdir())) if process.stat().st_uid == user else 0
    except OSError:
        # It has ended meanwhile.
        return 0


def _read(process: subprocess.Popen[bytes], until: float) -> tuple[str, bool]:
    """Read what is printed until all who could print have ended; returns its end, and whether it was too much."""
    if process.stdout is None:
        raise AssertionError("the output is a pipe")
    kept, printed = b"", 0
    while (left := until - time.monotonic()) > 0:
        if not select.select([process.stdout], [], [], left)[0]:
            break
        part = os.read(process.stdout.fileno(), 65_536)
        if not part:
            break
        printed += len(part)
        kept = (kept + part)[-_KEPT_BYTES:]
        if printed > _MOST_PRINTED:
            return kept.decode(errors="replace"), True
    return kept.decode(errors="replace"), False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let the supervisor end its command and itself; it is killed when it does not."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)


def _ended(report: bytes, output: str, *, too_much: bool, seconds: float) -> Ended:
    try:
        told = json.loads(report)
    except ValueError:
        raise SandboxError(f"the sandbox did not start: {output.strip()[-500:] or 'it said nothing'}") from None
    if "failed" in told:
        raise SandboxError(f"the sandbox could not be made: {told['failed']}")
    how: Literal["by itself", "too long", "printed too much"] = "by itself"
    if too_much:
        how = "printed too much"
    elif told["timed_out"]:
        how = "too long"
    return Ended(how, told["exit"], output, seconds)
