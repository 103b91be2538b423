"""The supervisor of one sandboxed command: a script of its own, which needs the standard library alone.

It is given one argument, JSON: `command`, `environment`, `folder` (where to run it), `readable` and `writable` (paths,
all that there are where `landlock` is set), `landlock`, `sockets` (the families of sockets that it may have), `strict`
(whether it is not run where those cannot be kept to), `user` (an id to become, or null), `limits` (by name of
`resource`), `seconds`, `staging` (an empty folder to mount in, or null), and `report` (a file descriptor, to which it
writes `{"exit": …, "timed_out": …}`, or `{"failed": …}`).

It ends the command, and whatever that has started, when its time is over, when its own standard input is closed, by
which it knows that who started it has died, and when the command has ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import platform
import resource
import select
import signal
import sys
import time
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_SET_CHILD_SUBREAPER = 1, 38, 36
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
LANDLOCK_VERSION = 1
MS_BIND, MS_REC = 1 << 12, 1 << 14
PATH_BENEATH = 1
EXECUTE, READ_FILE, READ_DIR = 1 << 0, 1 << 2, 1 << 3
WRITE_FILE, TRUNCATE = 1 << 1, 1 << 14
# By version of the interface: what of files it knows, whether TCP, and whether signals and abstract sockets.
FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
FILES_ONLY = EXECUTE | READ_FILE | WRITE_FILE | TRUNCATE
TCP_SINCE, SCOPES_SINCE = 4, 6
PR_SET_SECCOMP, SECCOMP_FILTER = 22, 2
LOAD, IS_EQUAL, IS_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
SYSCALL_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16
ALLOWED, REFUSED = 0x7FFF0000, 0x00050000 | errno.EACCES
# From here on x86-64 has the calls of another of its interfaces.
OTHER_INTERFACE = 0x40000000
# By machine: how the kernel calls it, the number of `socket`, and those of what is had from no sandbox: the keys of the
# session, `io_uring`, which opens sockets, too, and memory, semaphores and queues that outlive whoever has made them.
SHARED_CALLS = (425, 217, 218, 219, 194, 190, 186)
MACHINES = {
    "x86_64": (0xC000003E, 41, (425, 248, 249, 250, 29, 64, 68)),
    "aarch64": (0xC00000B7, 198, SHARED_CALLS),
    "riscv64": (0xC00000F3, 198, SHARED_CALLS),
}
KILLED_FIRST = b"1000"
LOOKS_EVERY_SECONDS = 0.02
NOTHING_LEFT_AFTER = 3


class Ruleset(ctypes.Structure):
    """`struct landlock_ruleset_attr`."""

    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class PathBeneath(ctypes.Structure):
    """`struct landlock_path_beneath_attr`."""

    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class Instruction(ctypes.Structure):
    """`struct sock_filter`."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("jump_if", ctypes.c_uint8),
        ("jump_else", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(Instruction)))


def open_the_way(paths: list[str], staging: str) -> None:
    """Let others reach these folders, of which one may lie in a home that is closed to them, such as root's.

    In a mount namespace of our own: in place of what is closed they then see nothing but these folders.

    Raises:
        OSError: it may not be mounted.
    """
    real = sorted({os.path.realpath(path) for path in paths if os.path.isdir(path)})  # noqa: PTH112  as above
    whole = [path for path in real if not any(path.startswith(f"{other}/") for other in real)]
    behind: dict[str, list[tuple[str, str]]] = {}
    for number, path in enumerate(whole):
        closed = _first_closed(path)
        if closed is not None:
            behind.setdefault(closed, []).append((path, f"{staging}/{number}"))
    for closed, folders in behind.items():
        for path, kept in folders:
            os.mkdir(kept)  # noqa: PTH102  as above
            _mount(path, kept, None, MS_BIND | MS_REC)
        _mount("tmpfs", closed, "tmpfs", 0, b"mode=755")
        for path, kept in folders:
            os.makedirs(path, exist_ok=True)  # noqa: PTH103  as above
            _mount(kept, path, None, MS_BIND | MS_REC)


def _first_closed(path: str) -> str | None:
    parts = path.split("/")
    above = ["/".join(parts[:count]) for count in range(2, len(parts) + 1)]
    return next((folder for folder in above if not os.stat(folder).st_mode & 1), None)  # noqa: PTH116  as above


def _mount(source: str, target: str, kind: str | None, flags: int, data: bytes | None = None) -> None:
    arguments = (source.encode(), target.encode(), kind and kind.encode(), ctypes.c_ulong(flags), data)
    if LIBC.mount(*arguments):
        raise OSError(ctypes.get_errno(), f"{source} cannot be mounted at {target}")


def landlock_version() -> int:
    """Return the version of Landlock that the kernel has; 0 when it has none, or does not let us use it."""
    if platform.system() != "Linux":
        return 0
    return max(
        0, int(LIBC.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(LANDLOCK_VERSION)))
    )


def restrict_files(readable: list[str], writable: list[str]) -> None:
    """Let this process, and whatever it starts, read and write nothing but what is below these paths.

    Raises:
        OSError: the kernel does not do it.
    """
    version = landlock_version()
    if not version:
        raise OSError("this kernel has no Landlock, or does not let us use it")
    known = FILES[max(since for since in FILES if since <= version)]
    net = 3 if version >= TCP_SINCE else 0
    ruleset = Ruleset(known, net, 3 if version >= SCOPES_SINCE else 0)
    size = ctypes.sizeof(Ruleset) if version >= SCOPES_SINCE else 16 if version >= TCP_SINCE else 8
    handle = LIBC.syscall(LANDLOCK_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), ctypes.c_uint32(0))
    if handle < 0:
        raise OSError(ctypes.get_errno(), "Landlock makes no ruleset")
    for path in readable:
        _allow(handle, path, (EXECUTE | READ_FILE | READ_DIR) & known)
    for path in writable:
        _allow(handle, path, known)
    if LIBC.syscall(LANDLOCK_RESTRICT_SELF, ctypes.c_int(handle), ctypes.c_uint32(0)):
        raise OSError(ctypes.get_errno(), "Landlock does not restrict this process")
    os.close(handle)


def _allow(handle: int, path: str, allowed: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        # What is not there needs no permission.
        return
    try:
        if not os.path.isdir(path):  # noqa: PTH112  no more modules than needed
            allowed &= FILES_ONLY
        rule = PathBeneath(allowed, parent)
        if LIBC.syscall(LANDLOCK_ADD_RULE, ctypes.c_int(handle), ctypes.c_int(PATH_BENEATH), ctypes.byref(rule), 0):
            raise OSError(ctypes.get_errno(), f"Landlock takes no rule about {path}")
    finally:
        os.close(parent)


def restrict_calls(sockets: list[int]) -> None:
    """Let this process, and whatever it starts, open sockets of these families alone; pairs of sockets it may have.

    Neither network namespaces nor Landlock know of sockets in the file system, nor the former of those to the host of
    a virtual machine.

    Raises:
        OSError: the kernel does not do it, or nobody knows how its calls are numbered.
    """
    if platform.machine() not in MACHINES:
        raise OSError(errno.ENOSYS, f"the system calls of {platform.machine()} are not known")
    architecture, socket, refused = MACHINES[platform.machine()]
    steps = [
        (LOAD, ARCHITECTURE_AT, None, None),
        (IS_EQUAL, architecture, None, "refuse"),
        (LOAD, SYSCALL_AT, None, None),
        (IS_AT_LEAST, OTHER_INTERFACE, "refuse", None),
        *((IS_EQUAL, number, "refuse", None) for number in refused),
        (IS_EQUAL, socket, None, "allow"),
        (LOAD, FIRST_ARGUMENT_AT, None, None),
        *((IS_EQUAL, family, "allow", None) for family in sockets),
        (RETURN, REFUSED, None, None),
        (RETURN, ALLOWED, None, None),
    ]
    places = {"refuse": len(steps) - 2, "allow": len(steps) - 1}
    instructions = (Instruction * len(steps))(
        *(
            Instruction(code, *(places[to] - at - 1 if to else 0 for to in (jump_if, jump_else)), value)
            for at, (code, value, jump_if, jump_else) in enumerate(steps)
        )
    )
    program = Program(len(steps), instructions)
    if LIBC.prctl(PR_SET_SECCOMP, SECCOMP_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp does not restrict this process")


def _be_killed_first() -> None:
    """When the machine has no memory left, the kernel is to end this, and none of what was there before."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb") as file:  # noqa: PTH123  as above
        file.write(KILLED_FIRST)


def _become(told: dict[str, Any]) -> None:
    """Give up whatever the command is not to have; the limits last, since this process needs more."""
    os.setsid()
    _be_killed_first()
    if told["user"] is not None:
        os.setgroups([])
        os.setgid(told["user"])
        os.setuid(told["user"])
    os.umask(0o077)
    os.chdir(told["folder"])
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    if platform.system() == "Linux":
        LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if told["landlock"]:
        restrict_files(told["readable"], told["writable"])
    if platform.system() == "Linux":
        try:
            restrict_calls(told["sockets"])
        except OSError:
            if told["strict"]:
                raise
    for name, most in told["limits"].items():
        kind = getattr(resource, name, None)
        if kind is not None:
            hard = resource.getrlimit(kind)[1]
            limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
            # At the first limit on processor time comes a signal of its own, at the second one that anything may send.
            last = limit + 1 if name == "RLIMIT_CPU" and limit != hard else limit
            resource.setrlimit(kind, (limit, last))
    for number in (signal.SIGTERM, signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def _start(told: dict[str, Any]) -> tuple[int, str]:
    """Start the command; returns its process id, and why it could not be started, empty when it was."""
    # Python's descriptors are closed by exec, by which the pipe ends when the command begins.
    problem_out, problem_in = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _become(told)
            os.execve(told["command"][0], told["command"], told["environment"])  # noqa: S606  no shell
        except BaseException as error:  # noqa: BLE001  whatever it is, it must not go on as a supervisor
            os.write(problem_in, f"{type(error).__name__}: {error}".encode()[:1000])
        finally:
            os._exit(127)
    os.close(problem_in)
    problem = b""
    while part := os.read(problem_out, 4096):
        problem += part
    os.close(problem_out)
    return child, problem.decode(errors="replace")


def _watch(child: int, seconds: float) -> dict[str, Any]:
    """Wait until the command ends, its time is over, or who started us has died."""
    over = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return {"exit": os.waitstatus_to_exitcode(status), "timed_out": False}
        if time.monotonic() > over:
            return {"exit": None, "timed_out": True}
        if select.select([0], [], [], LOOKS_EVERY_SECONDS)[0]:
            return {"exit": None, "timed_out": False}


def _end_all(child: int, user: int | None) -> None:
    """End whatever the command has started, also what has left its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    looks_in_vain = 0
    while looks_in_vain < NOTHING_LEFT_AFTER:
        _kill_rest(user)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            # Orphans come to us as children: there are none, and nobody is left who could make some.
            if os.getpid() == 1 or user is None:
                return
            looks_in_vain += 1
        time.sleep(LOOKS_EVERY_SECONDS / 10)


def _kill_rest(user: int | None) -> None:
    if os.getpid() == 1:
        # Of a namespace of its own: everybody else in it.
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
    elif user is not None:
        # A user that nobody else is: everything of it.
        killer = os.fork()
        if killer == 0:
            with contextlib.suppress(OSError):
                os.setgid(user)
                os.setuid(user)
                os.kill(-1, signal.SIGKILL)
            os._exit(0)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(killer, 0)
    else:
        for other in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(other, signal.SIGKILL)


def _children() -> list[int]:
    me, found = str(os.getpid()), []
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:  # noqa: PTH112, PTH208  no more modules
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123  as above
                # After the name of its program, which may hold anything: its state, and its parent.
                if file.read().rpartition(b")")[2].split()[1].decode() == me:
                    found.append(int(name))
    return found


def main() -> None:
    """Supervise one command, as the module's docstring says."""
    told = json.loads(sys.argv[1])
    os.set_inheritable(told["report"], False)  # noqa: FBT003  its only argument
    if platform.system() == "Linux":
        LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if told["staging"] is not None:
        os.umask(0o022)
        open_the_way([*told["readable"], *told["writable"]], told["staging"])
    child, problem = _start(told)
    try:
        report = {"failed": problem} if problem else _watch(child, told["seconds"])
    finally:
        _end_all(child, told["user"])
    os.write(told["report"], json.dumps(report).encode())


if __name__ == "__main__":
    main()
