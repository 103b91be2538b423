"""What a branch changes: the files of a diff with their hunks, as git tells them, and what of them is no document."""

from __future__ import annotations

from dataclasses import dataclass
from posixpath import dirname
from typing import TYPE_CHECKING, Final, TypeVar

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchSet

from backcast.domain.diffs import Hunk
from backcast.domain.errors import InputError
from backcast.sources import filters
from backcast.sources.git import located, read_attributes, read_document
from backcast.sources.gitcli import BlobReader, GitFailedError, run_git
from backcast.sources.tree import list_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from backcast.domain.documents import Selection, SourceDocument

DELETED: Final = "deleted"
TEXT_IS_THE_SAME: Final = "nothing of its text changes"
_CONTEXT_LINES: Final = 10
# Of a command line there is only so much.
_PATHS_AT_A_TIME: Final = 400
_BEGINS_FILE: Final = "diff --git "
_BEGINS_HUNK: Final = "@@ "
# What `unidiff` calls a line that only says that the last one has no newline.
_MARKS: Final = frozenset(" +-")
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file of the new side: its document, whole or left out with a reason, and what changes in it."""

    document: SourceDocument
    hunks: tuple[Hunk, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What `head` brings to `base`: from the commit that both come from, `merge_base`, to the head's own.

    Attributes:
        repository: a path, or a URL without credentials.
        base: the ref that was given.
        head: the ref that was given.
        merge_base: a full commit id.
        commit: of the head, a full commit id.
        files: what is to be reviewed, in path order.
        left_out: path and reason of each other file.
    """

    repository: str
    base: str
    head: str
    merge_base: str
    commit: str
    files: tuple[ChangedFile, ...]
    left_out: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Listed:
    """A file as `git diff-tree --raw -z` lists it; `old_path` where it was renamed. A path may not be UTF-8."""

    status: str
    path: bytes
    old_path: bytes | None = None

    @property
    def paths(self) -> tuple[bytes, ...]:
        return (self.path,) if self.old_path is None else (self.old_path, self.path)

    @property
    def patches(self) -> int:
        # What was a link and is a file is shown as one that goes and one that comes.
        return 2 if self.status == "T" else 1


def read_changes(repository: str, base: str, head: str, *, cache: Path, selection: Selection) -> Changes:
    """Read what `head` changes since it left `base`.

    Args:
        repository: a path or a URL.
        base: a branch, tag or commit; a branch of a remote may have to be named `origin/main`.
        head: the same.
        cache: where clones of remote repositories are kept.
        selection: which files are wanted.

    Raises:
        InputError: there is no such repository, commit, or common ancestor, or git cannot read them.
    """
    location = located(repository, cache)
    commit, merge_base = location.commit_of(head), location.commit_of(base)
    git_dir = location.git_dir
    try:
        merge_base = _merge_base(git_dir, merge_base, commit)
    except GitFailedError as error:
        raise InputError(
            f"{base} and {head} of {location.shown} have no commit in common, as far as this clone goes: fetch more "
            f"of the history, such as by `git fetch --unshallow`, or give another base. {error}".rstrip()
        ) from error
    try:
        listed = list(_listed(_diff_tree(git_dir, merge_base, commit, ["--raw", "-z"])))
        documents, left_out = _documents(git_dir, commit, listed, selection)
        wanted = [one for one in listed if one.path in documents]
        files = [ChangedFile(documents[path], hunks) for path, hunks in _patches(git_dir, merge_base, commit, wanted)]
    except (GitFailedError, UnidiffParseError) as error:
        raise InputError(f"git cannot tell what {head} of {location.shown} changes: {error}") from error
    left_out += [(file.document.path, TEXT_IS_THE_SAME) for file in files if not file.hunks]
    return Changes(
        repository=location.shown,
        base=base,
        head=head,
        merge_base=merge_base,
        commit=commit,
        files=tuple(file for file in files if file.hunks),
        left_out=tuple(sorted(left_out)),
    )


def _merge_base(git_dir: Path, base: str, head: str) -> str:
    found = run_git([f"--git-dir={git_dir}", "merge-base", base, head])
    return found.decode("ascii").split("\n")[0]


def _diff_tree(git_dir: Path, old: str, new: str, options: Sequence[str], paths: Iterable[bytes] = ()) -> bytes:
    # What the repository says about how to show its files must not hide any of them: no drivers, and all as text.
    fixed = ("--no-color", "--no-ext-diff", "--no-textconv", "--text", "--full-index", "--find-renames", "-r")
    named = (path.decode("utf-8", "surrogateescape") for path in paths)
    command = [
        "--literal-pathspecs",
        "-c",
        "diff.suppressBlankEmpty=false",
        f"--git-dir={git_dir}",
        "diff-tree",
        *fixed,
        *options,
        old,
        new,
        "--",
        *named,
    ]
    return run_git(command)


def _listed(raw: bytes) -> Iterator[_Listed]:
    fields = iter(raw.split(b"\0"))
    for facts in fields:
        if not facts.startswith(b":"):
            return
        status = facts.split()[-1][:1].decode("ascii")
        first = next(fields)
        yield _Listed(status, next(fields), first) if status in {"R", "C"} else _Listed(status, first)


def _documents(
    git_dir: Path, commit: str, listed: Sequence[_Listed], selection: Selection
) -> tuple[dict[bytes, SourceDocument], list[tuple[str, str]]]:
    """Return the new sides by path, and path and reason of what is left out."""
    left_out = [(one.path.decode("utf-8", "backslashreplace"), DELETED) for one in listed if one.status == "D"]
    there = {one.path for one in listed if one.status != "D"}
    utf8 = {path for path in there if _is_utf8(path)}
    left_out += [(path.decode("utf-8", "backslashreplace"), filters.PATH_NOT_UTF8) for path in there - utf8]
    paths = sorted(path.decode("utf-8") for path in utf8)
    attributes = sorted({f"{folder}/.gitattributes".lstrip("/") for path in paths for folder in _folders(path)})
    entries = [entry for some in _at_a_time([*paths, *attributes]) for entry in list_tree(git_dir, commit, some)]
    documents: dict[bytes, SourceDocument] = {}
    with BlobReader(git_dir) as blobs:
        chosen = filters.Filters(selection, read_attributes(entries, blobs))
        for entry in entries:
            if entry.path.encode() not in utf8 or entry.path.encode() in documents:
                continue
            document = read_document(entry, chosen, blobs)
            if document.text is None:
                left_out.append((document.path, document.skip_reason or filters.NOT_SOURCE))
                utf8.remove(document.path.encode())
            else:
                documents[document.path.encode()] = document
    return documents, left_out


def _folders(path: str) -> Iterator[str]:
    folder = dirname(path)
    yield folder
    while folder:
        folder = dirname(folder)
        yield folder


def _patches(git_dir: Path, old: str, new: str, wanted: Sequence[_Listed]) -> Iterator[tuple[bytes, tuple[Hunk, ...]]]:
    """Yield path and hunks of each file, in order; without hunks where its text stays the same."""
    options = ["--raw", "-z", "--patch", f"--unified={_CONTEXT_LINES}"]
    for some in _at_a_time(wanted):
        output = _diff_tree(git_dir, old, new, options, (path for one in some for path in one.paths))
        listed = list(_listed(output))
        # Git shows the patches in the order of the list; only the list says whose they are.
        patches = list(_patches_of(output))
        if len(patches) != sum(one.patches for one in listed):
            raise GitFailedError(f"it lists {len(listed)} files and shows {len(patches)} patches")
        paths, shown = {one.path for one in some}, iter(patches)
        for one in listed:
            *_, patch = (next(shown) for _ in range(one.patches))
            if one.path in paths:
                yield one.path, _hunks(patch)


def _patches_of(output: bytes) -> Iterator[list[str]]:
    """Yield the hunks of each patch as lines; no line of a hunk begins as a patch does."""
    patch: list[str] | None = None
    _, _, shown = output.partition(b"\0\0")
    # A line of an old side may be in any encoding; it is only shown.
    for line in shown.decode("utf-8", "replace").split("\n"):
        if line.startswith(_BEGINS_FILE):
            if patch is not None:
                yield patch
            patch = []
        elif patch is not None and (patch or line.startswith(_BEGINS_HUNK)):
            patch.append(line)
    if patch is not None:
        yield patch


def _hunks(lines: Sequence[str]) -> tuple[Hunk, ...]:
    if not lines:
        return ()
    # Under names of ours, since those of files may look like anything.
    parsed = PatchSet(f"{line}\n" for line in ["--- a/file", "+++ b/file", *lines] if line)
    return tuple(
        Hunk(
            old_start=hunk.source_start + (hunk.source_length == 0),
            new_start=hunk.target_start + (hunk.target_length == 0),
            lines=tuple(line.line_type + line.value.removesuffix("\n") for line in hunk if line.line_type in _MARKS),
            section=hunk.section_header,
        )
        for hunk in parsed[0]
    )


def _at_a_time(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), _PATHS_AT_A_TIME):
        yield items[start : start + _PATHS_AT_A_TIME]


def _is_utf8(path: bytes) -> bool:
    try:
        path.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
