"""The tracked files of a commit, as git lists them: in the byte order of their paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backcast.domain.errors import InputError
from backcast.sources.gitcli import GitFailedError, run_git

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MISSING = "BAD"
_NO_SIZE = "-"


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One tracked file; a path that is not UTF-8 is marked, and shown with its odd bytes as hexadecimal escapes."""

    mode: str
    object_id: str
    size: int
    path: str
    path_is_utf8: bool = True


def list_tree(git_dir: Path, commit: str, paths: Sequence[str] = ()) -> list[TreeEntry]:
    """All tracked files of the commit; with paths, those of them that there are."""
    try:
        listing = run_git([f"--git-dir={git_dir}", "ls-tree", "-r", "-l", "-z", "--full-tree", commit, "--", *paths])
    except GitFailedError as error:
        raise InputError(f"cannot list the files of commit {commit} in {git_dir}: {error}") from error
    return [_parse(record) for record in listing.split(b"\0") if record]


def _parse(record: bytes) -> TreeEntry:
    facts, _, raw_path = record.partition(b"\t")
    mode, _, object_id, size = facts.decode("ascii").split()
    try:
        path, is_utf8 = raw_path.decode("utf-8"), True
    except UnicodeDecodeError:
        path, is_utf8 = raw_path.decode("utf-8", "backslashreplace"), False
    if size == _MISSING:
        raise InputError(
            f"git has no content for {path!r}: the repository is incomplete or damaged; run `git fsck` there, "
            "and fetch a partial clone whole (`git fetch --refetch --no-filter`)"
        )
    return TreeEntry(mode, object_id, 0 if size == _NO_SIZE else int(size), path, is_utf8)
