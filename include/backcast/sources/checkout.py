"""Writes the files of a commit into a folder, and touches nothing of the repository: no index, no hooks, no filters."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Final

from backcast.sources.git import GitSource
from backcast.sources.gitcli import BlobReader
from backcast.sources.tree import list_tree

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.domain.documents import Snapshot
    from backcast.sources.tree import TreeEntry

_FILES: Final = {"100644": 0o644, "100664": 0o644, "100755": 0o755}
_LINK: Final = "120000"


def check_out(snapshot: Snapshot, cache: Path, folder: Path) -> None:
    """Write the tracked files of a snapshot's commit below `folder`, which everybody may then read.

    A symbolic link that leads out of the repository is left out, and so is a submodule.

    Args:
        snapshot: what to read.
        cache: where clones of remote repositories are kept.
        folder: an empty folder.

    Raises:
        InputError: the commit cannot be read any more.
    """
    git_dir = GitSource(snapshot.repository, snapshot.ref, cache).git_dir(snapshot)
    made = {folder}
    with BlobReader(git_dir) as blobs:
        for entry in list_tree(git_dir, snapshot.commit):
            if not entry.path_is_utf8 or not _stays_inside(entry.path):
                continue
            place = folder / entry.path
            if entry.mode not in _FILES and entry.mode != _LINK:
                continue
            _make_folder(place.parent, made)
            _write(entry, blobs.read(entry.object_id), place)


def _make_folder(folder: Path, made: set[Path]) -> None:
    if folder not in made:
        _make_folder(folder.parent, made)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        made.add(folder)


def _write(entry: TreeEntry, content: bytes, place: Path) -> None:
    if entry.mode == _LINK:
        target = content.decode("utf-8", "surrogateescape")
        if not target.startswith("/") and _stays_inside(posixpath.join(posixpath.dirname(entry.path), target)):
            place.symlink_to(target)
        return
    place.write_bytes(content)
    place.chmod(_FILES[entry.mode])


def _stays_inside(path: str) -> bool:
    plain = posixpath.normpath(path)
    return not plain.startswith(("/", "../")) and plain not in {".", ".."} and ".git" not in plain.lower().split("/")
