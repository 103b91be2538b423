"""Git through its command line: no shell, no prompts, no repository taken from the environment."""

from __future__ import annotations

import os
import subprocess
import threading
from typing import IO, TYPE_CHECKING, Self

from backcast.domain.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

LOCAL_TIMEOUT = 300.0
NETWORK_TIMEOUT = 3600.0

# A hook or another git may have started us: these would point every command at its repository instead of ours.
_REPOSITORY_VARIABLES = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)

_FORCED = {
    "GIT_ALLOW_PROTOCOL": "file:https:ssh",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}

_STALLED = {"GIT_HTTP_LOW_SPEED_LIMIT": "1000", "GIT_HTTP_LOW_SPEED_TIME": "60"}

_NO_GIT = "git is not installed, or not on PATH: install it (for example `apt install git`) and try again"


class GitFailedError(Exception):
    """A git command ended with an error; the text is what git said, one line after another."""


def environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment that git gets: `base`, or our own, made deterministic and unable to ask anybody anything."""
    inherited = os.environ if base is None else base
    kept = {name: value for name, value in inherited.items() if name not in _REPOSITORY_VARIABLES}
    return _STALLED | kept | _FORCED


def run_git(arguments: Sequence[str | Path], *, timeout: float = LOCAL_TIMEOUT) -> bytes:
    """Run one git command and return what it printed.

    Raises:
        GitFailedError: git refused, failed, or took longer than `timeout` seconds.
        InputError: there is no git.
    """
    command = ["git", *map(str, arguments)]
    try:
        done = subprocess.run(  # noqa: S603 - a list of arguments, no shell; refs and URLs are checked by the callers
            command, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except FileNotFoundError as error:
        raise InputError(_NO_GIT) from error
    except subprocess.TimeoutExpired:
        # Without its cause, which holds the command line, and with it a URL's credentials.
        raise GitFailedError(f"git did not finish within {timeout:.0f} seconds") from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise GitFailedError(said or f"git ended with exit code {done.returncode} and said nothing")
    return done.stdout


class BlobReader:
    """Reads blobs one at a time through a single `git cat-file --batch`, which leaving the `with` block ends."""

    def __init__(self, git_dir: Path) -> None:
        self._git_dir = git_dir
        self._process: subprocess.Popen[bytes] | None = None
        # Of several threads, each gets the blob that it asked for.
        self._turn = threading.Lock()

    def __enter__(self) -> Self:
        command = ["git", f"--git-dir={self._git_dir}", "cat-file", "--batch"]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a list of arguments, no shell
                command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except FileNotFoundError as error:
            raise InputError(_NO_GIT) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        process, self._process = self._process, None
        if process is not None:
            # Killed first: it may be in the middle of writing a blob that nobody reads any more.
            process.kill()
            process.communicate()

    def read(self, object_id: str) -> bytes:
        """The whole content of one blob; several threads may ask."""
        with self._turn:
            return self._read(object_id)

    def _read(self, object_id: str) -> bytes:
        stdin, stdout = self._pipes()
        try:
            stdin.write(f"{object_id}\n".encode())
            stdin.flush()
        except BrokenPipeError as error:
            raise self._unreadable(object_id) from error
        header = stdout.readline().split()
        if len(header) != 3 or header[1] != b"blob":  # noqa: PLR2004 - object id, type, size
            raise self._unreadable(object_id)
        size = int(header[2])
        content = stdout.read(size + 1)
        if len(content) != size + 1:
            raise self._unreadable(object_id)
        return content[:size]

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("a BlobReader reads only inside its `with` block")
        return self._process.stdin, self._process.stdout

    def _unreadable(self, object_id: str) -> InputError:
        return InputError(
            f"git cannot read object {object_id} of {self._git_dir}: the repository is incomplete or damaged; "
            "run `git fsck` there, and for a partial clone fetch it whole (`git fetch --refetch --no-filter`)"
        )
