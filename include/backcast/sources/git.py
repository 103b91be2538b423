"""Documents from a git repository: the tracked files of one commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from posixpath import basename
from typing import TYPE_CHECKING

from backcast.domain.documents import Selection, Snapshot, SourceDocument
from backcast.domain.errors import InputError
from backcast.domain.testing import files_with_tests
from backcast.sources import filters
from backcast.sources.attributes import Attributes
from backcast.sources.clones import REMOTE_HEAD, cached_clone, has_commit
from backcast.sources.gitcli import BlobReader, GitFailedError, run_git
from backcast.sources.languages import language_by_name, language_by_shebang
from backcast.sources.location import Remote, check_ref, is_object_id, parse_repository
from backcast.sources.tree import TreeEntry, list_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_REGULAR_FILES = ("100644", "100755", "100664")
_LARGEST_ATTRIBUTES_FILE = 1_000_000


@dataclass(frozen=True, slots=True)
class GitSource:
    """The documents of a repository, given by a path or by a URL, of which a bare clone is kept in `cache`."""

    repository: str = field(repr=False)
    ref: str
    cache: Path
    selection: Selection = field(default_factory=Selection)

    def snapshot(self) -> Snapshot:
        """What `ref` names now; a clone is made or fetched when the repository is remote."""
        check_ref(self.ref)
        location = located(self.repository, self.cache)
        commit = location.commit_of(self.ref)
        return Snapshot(location.shown, self.ref, commit, _committed_at(location.git_dir, commit))

    def documents(self, snapshot: Snapshot) -> Iterator[SourceDocument]:
        """Every tracked file of the snapshot's commit once, in path order; what is left out carries its reason."""
        git_dir = self.git_dir(snapshot)
        entries = list_tree(git_dir, snapshot.commit)
        with BlobReader(git_dir) as blobs:
            tested = files_with_tests(entry.path for entry in entries) if self.selection.untested_only else frozenset()
            chosen = filters.Filters(self.selection, read_attributes(entries, blobs), tested)
            wanted = self.selection.max_documents
            taken = 0
            for entry in entries:
                full = wanted is not None and taken >= wanted
                document = read_document(entry, chosen, blobs, full=full)
                taken += document.skip_reason is None
                yield document

    def git_dir(self, snapshot: Snapshot) -> Path:
        """Where the snapshot's commit can be read.

        Raises:
            InputError: it is not there any more.
        """
        if not is_object_id(snapshot.commit):
            raise InputError(f"{snapshot.commit!r} is not a full commit id")
        location = parse_repository(self.repository)
        if isinstance(location, Remote):
            git_dir = cached_clone(location, self.cache, commit=snapshot.commit)
        else:
            git_dir = _git_dir_of(location)
        if not has_commit(git_dir, snapshot.commit):
            raise InputError(
                f"commit {snapshot.commit} is not in {snapshot.repository} (any more): start a new run on a ref it has"
            )
        return git_dir


@dataclass(frozen=True, slots=True)
class Located:
    """Where a repository is on this machine, and how it is shown; `remote` when it is a clone, current as of now."""

    git_dir: Path
    shown: str
    remote: bool

    def commit_of(self, ref: str) -> str:
        """The full id of the commit that a ref names.

        Raises:
            InputError: it names none.
        """
        check_ref(ref)
        resolved = REMOTE_HEAD if self.remote and ref == "HEAD" else ref
        return _resolve(self.git_dir, resolved) or _no_such_ref(self.git_dir, self.shown, ref)


def located(repository: str, cache: Path, ref: str = "HEAD") -> Located:
    """Where the repository is, given by a path or by a URL, of which a bare clone is kept in `cache`.

    When `ref` is the full id of a commit that the clone has, nobody is asked for it: a remote that is away, or hangs,
    is in the way of nothing then.
    """
    location = parse_repository(repository)
    if isinstance(location, Remote):
        commit = ref if is_object_id(ref) else None
        return Located(cached_clone(location, cache, commit=commit), location.shown, remote=True)
    return Located(_git_dir_of(location), str(location), remote=False)


def read_document(
    entry: TreeEntry, chosen: filters.Filters, blobs: BlobReader, *, full: bool = False
) -> SourceDocument:
    """One tracked file, or why it is left out; `full` when no more are wanted."""
    language = language_by_name(entry.path)

    def skipped(reason: str) -> SourceDocument:
        return SourceDocument(entry.path, language or "", entry.size, None, reason)

    reason = chosen.before_reading(entry) if entry.path_is_utf8 else filters.PATH_NOT_UTF8
    if reason is not None:
        return skipped(reason)
    if full and language:
        return skipped(filters.OVER_MAX_DOCUMENTS)
    content = blobs.read(entry.object_id)
    text, reason = filters.decode(content)
    if text is None:
        return skipped(reason or filters.BINARY)
    language = language or language_by_shebang(content)
    reason = chosen.after_reading(entry.path, text)
    if language is None:
        reason = filters.EMPTY if reason == filters.EMPTY else filters.NOT_SOURCE
    elif full:
        reason = reason or filters.OVER_MAX_DOCUMENTS
    return skipped(reason) if reason else SourceDocument(entry.path, language or "", entry.size, text, None)


def read_attributes(entries: Iterable[TreeEntry], blobs: BlobReader) -> Attributes:
    """What the `.gitattributes` among these files say."""
    files = (
        (entry.path, blobs.read(entry.object_id).decode("utf-8", "replace"))
        for entry in entries
        if basename(entry.path) == ".gitattributes"
        and entry.mode in _REGULAR_FILES
        and entry.size <= _LARGEST_ATTRIBUTES_FILE
    )
    return Attributes(files)


def _git_dir_of(path: Path) -> Path:
    """The git directory of a local repository, after git itself agreed to read it."""
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise InputError(f"{path} {what}: give the path of a git repository, or its URL")
    try:
        answer = run_git(["-C", path, "rev-parse", "--absolute-git-dir", "--is-inside-work-tree", "--show-prefix"])
    except GitFailedError as error:
        raise _refused(path, str(error)) from error
    git_dir, inside, prefix = answer.decode("utf-8", "surrogateescape").split("\n")[:3]
    if inside == "true" and prefix:
        top = Path(*path.resolve().parts[: -len(Path(prefix).parts)])
        raise InputError(
            f"{path} is a folder inside the git repository {top}: give {top} as the repository, "
            f"and '/{prefix}' as what to include"
        )
    return Path(git_dir)


def _refused(path: Path, said: str) -> InputError:
    if "dubious ownership" in said:
        return InputError(f"git does not trust {path}, because somebody else owns it. Git said: {said}")
    if "not a git repository" in said:
        return InputError(
            f"{path} is not a git repository: give another path, or run `git init`, `git add` and `git commit` there"
        )
    return InputError(f"git cannot read the repository {path}. Git said: {said}")


def _resolve(git_dir: Path, ref: str) -> str | None:
    try:
        answer = run_git(
            [f"--git-dir={git_dir}", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"]
        )
    except GitFailedError:
        return None
    return answer.decode("ascii").strip()


def _no_such_ref(git_dir: Path, shown: str, ref: str) -> str:
    try:
        has_commits = bool(run_git([f"--git-dir={git_dir}", "rev-list", "--max-count=1", "--all"]).strip())
    except GitFailedError as error:
        raise InputError(f"git cannot read the history of {shown}. Git said: {error}") from error
    if not has_commits:
        raise InputError(f"{shown} has no commit yet: commit something there first (`git add`, `git commit`)")
    raise InputError(
        f"{ref!r} is not a branch, tag or commit of {shown}: check the spelling, or push it; "
        f"`git ls-remote {shown}` lists what there is"
    )


def _committed_at(git_dir: Path, commit: str) -> datetime:
    try:
        answer = run_git(
            [f"--git-dir={git_dir}", "show", "--no-patch", "--no-show-signature", "--format=%ct", commit, "--"]
        )
    except GitFailedError as error:
        raise InputError(f"git cannot read commit {commit}. Git said: {error}") from error
    return datetime.fromtimestamp(int(answer.strip()), tz=UTC)
