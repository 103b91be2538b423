"""One stack at a time in one home."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from backcast.domain.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def held_home(home: Path) -> Iterator[None]:
    """Hold the home for the length of a `with` block. The lock ends with its holder, even when that is killed.

    Raises:
        InputError: somebody else holds it; the message says who.
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    # Logs and secrets are inside. A folder that exists keeps the permissions that somebody gave it.
    home.mkdir(mode=0o700, exist_ok=True)
    with (home / "lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise InputError(
                f"Backcast already runs in {home}, started by {holder}: end that one first (Ctrl-C there), "
                "or use another folder: BACKCAST_HOME=/some/folder"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
