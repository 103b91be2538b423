"""The tracked files of one commit by their paths: what is in git, and nothing of the disk around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from backcast.sources import filters
from backcast.sources.attributes import Attributes
from backcast.sources.git import located
from backcast.sources.gitcli import BlobReader
from backcast.sources.tree import list_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from backcast.domain.documents import Selection

_REGULAR_FILES: Final = frozenset({"100644", "100755", "100664"})
_NOT_FOLLOWED: Final = {"120000": "a symbolic link, which is not followed", "160000": "a submodule, which is not read"}


class NotReadableError(ValueError):
    """A path is none of a file that may be read; the text says why."""


class TrackedFiles:
    """The files of the commit that a ref names, as far as a selection wants them; read inside a `with` block.

    A path is looked up among those that git lists for the commit, and never given to a file system: what is not among
    them, such as `../x`, `/etc/passwd` or `.git/config`, is not there.

    Args:
        repository: a path or a URL, of which a bare clone is kept in `cache`.
        ref: a branch, tag or commit.
        cache: where clones are kept.
        selection: its patterns say which files may be read.

    Raises:
        InputError: there is no such repository or commit, or git cannot read it.
    """

    def __init__(self, repository: str, ref: str, cache: Path, selection: Selection) -> None:
        location = located(repository, cache, ref)
        self.repository = location.shown
        self.commit = location.commit_of(ref)
        chosen = filters.Filters(selection, Attributes(()))
        entries = list_tree(location.git_dir, self.commit)
        self._files = {}
        self._refused = {}
        for entry in entries:
            why = self._why_not(entry.mode) or (None if entry.path_is_utf8 else filters.PATH_NOT_UTF8)
            why = why or chosen.unwanted(entry.path)
            if why is None:
                self._files[entry.path] = entry
            else:
                self._refused[entry.path] = why
        self._blobs = BlobReader(location.git_dir)

    @staticmethod
    def _why_not(mode: str) -> str | None:
        return None if mode in _REGULAR_FILES else _NOT_FOLLOWED.get(mode, "no regular file")

    def __enter__(self) -> Self:
        self._blobs.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._blobs.__exit__(kind, value, traceback)

    def paths(self, below: str = "") -> Iterator[str]:
        """Yield the paths of the files that may be read, in order; of one folder or file, when that is named."""
        folder = below.strip("/")
        return (path for path in self._files if not folder or path == folder or path.startswith(f"{folder}/"))

    def size(self, path: str) -> int:
        """Return the size of a file in bytes.

        Raises:
            NotReadableError: there is no such file, or it may not be read.
        """
        entry = self._files.get(path)
        if entry is None:
            raise NotReadableError(self._refused.get(path, "not among the tracked files of this commit"))
        return entry.size

    def read(self, path: str, most_bytes: int) -> str:
        """Return the text of a file.

        Raises:
            NotReadableError: there is no such file, it may not be read, is larger, or no text.
        """
        if self.size(path) > most_bytes:
            raise NotReadableError(filters.too_large(most_bytes))
        text, reason = filters.decode(self._blobs.read(self._files[path].object_id))
        if text is None:
            raise NotReadableError(reason or filters.BINARY)
        return text
