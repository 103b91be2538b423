"""Lists a folder, and never leaves it: no symbolic link is followed, neither to a file nor to a folder."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from backcast.domain.errors import InputError
from backcast.sources import filters
from backcast.sources.files import HIDDEN, NO_REGULAR_FILE, UNREADABLE, ChangingError, Entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Whoever puts a pipe in the place of a file must not make us wait for it.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Deeper than people nest folders: each that is open takes a descriptor, and a frame of Python's stack.
_DEEPEST: Final = 100
TOO_DEEP: Final = f"more than {_DEEPEST} folders deep"


def folder_entries(folder: Path) -> Iterator[Entry]:
    """Every file below a folder, in path order.

    Files and folders are opened within the folder that was listed, so that what is moved or replaced meanwhile leads
    nowhere else.

    Raises:
        InputError: it is no folder, or cannot be listed.
    """
    try:
        # The folder itself may be reached by a link: somebody named it.
        top = os.open(folder.resolve(), _FOLDER)
    except FileNotFoundError:
        raise InputError(f"{folder} does not exist: give the path of the folder with the documents.") from None
    except OSError as error:
        raise InputError(
            f"{folder} cannot be listed: {error.strerror}. Give a folder that this user may read."
        ) from None
    try:
        yield from _below(top, "")
    finally:
        os.close(top)


def _below(folder: int, prefix: str) -> Iterator[Entry]:
    try:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in os.scandir(folder)]
    except OSError:
        yield _left_out(prefix, UNREADABLE)
        return
    # As if all paths were sorted together, where `a/b` comes after `a.txt`.
    for name, is_folder in sorted(found, key=lambda one: f"{one[0]}/" if one[1] else one[0]):
        path = f"{prefix}{name}"
        if not _is_utf8(path):
            yield _left_out(os.fsencode(path).decode("utf-8", "backslashreplace"), filters.PATH_NOT_UTF8)
        elif name.startswith("."):
            yield _left_out(f"{path}/" if is_folder else path, HIDDEN)
        elif is_folder and path.count("/") >= _DEEPEST:
            yield _left_out(f"{path}/", TOO_DEEP)
        elif is_folder:
            yield from _folder(folder, name, f"{path}/")
        else:
            yield _file(folder, name, path)


def _folder(parent: int, name: str, prefix: str) -> Iterator[Entry]:
    try:
        folder = os.open(name, _FOLDER, dir_fd=parent)
    except OSError:
        yield _left_out(prefix, UNREADABLE)
        return
    try:
        yield from _below(folder, prefix)
    finally:
        os.close(folder)


def _file(folder: int, name: str, path: str) -> Entry:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return _left_out(path, UNREADABLE)
    if stat.S_ISLNK(found.st_mode):
        return _left_out(path, filters.SYMBOLIC_LINK)
    if not stat.S_ISREG(found.st_mode):
        return _left_out(path, NO_REGULAR_FILE)

    def read(most: int) -> bytes:
        opened = os.open(name, _FILE, dir_fd=folder)
        with os.fdopen(opened, "rb") as file:
            before = os.fstat(opened)
            if not stat.S_ISREG(before.st_mode):
                raise OSError(NO_REGULAR_FILE)
            content = file.read(most)
            after = os.fstat(opened)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise ChangingError
        return content

    return Entry(path, found.st_size, _time(found.st_mtime), read)


def _time(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError):
        # Some file systems keep times beyond the year 9999.
        return None


def _left_out(path: str, reason: str) -> Entry:
    return Entry(path, 0, None, lambda _: b"", reason)


def _is_utf8(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
