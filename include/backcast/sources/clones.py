"""Bare clones of remote repositories, kept in a cache and made current on each use."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from backcast.domain.errors import InputError
from backcast.sources.gitcli import NETWORK_TIMEOUT, GitFailedError, run_git

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast.sources.location import Remote

REMOTE_HEAD = "refs/backcast/HEAD"

_BRANCHES_AND_TAGS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")


def cached_clone(remote: Remote, cache: Path, *, commit: str | None = None) -> Path:
    """The git directory of a clone of `remote`, fetched now; with a `commit`, fetched only when that is missing."""
    folder = cache / f"{remote.key}.git"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _locked(cache / f"{remote.key}.lock"):
            if not folder.exists():
                _clone(remote, folder)
            elif commit is None or not has_commit(folder, commit):
                _remove_stale_locks(folder)
                _fetch(remote, folder)
    except OSError as error:
        raise InputError(
            f"cannot keep a clone of {remote.shown} in {cache}: {error.strerror or error}; "
            "make room there, make it writable, or choose another cache folder"
        ) from error
    return folder


def has_commit(git_dir: Path, commit: str) -> bool:
    """Whether the commit, given by its full id, is in the repository."""
    try:
        run_git([f"--git-dir={git_dir}", "cat-file", "-e", f"{commit}^{{commit}}"])
    except GitFailedError:
        return False
    return True


def _clone(remote: Remote, folder: Path) -> None:
    # A clone that a kill left half made keeps its temporary name; the lock says that nobody is making it any more.
    for leftover in folder.parent.glob(f"{folder.name}.*.tmp"):
        shutil.rmtree(leftover)
    unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        try:
            run_git(["init", "--quiet", "--bare", "--template=", "--", unfinished])
        except GitFailedError as error:
            raise InputError(f"cannot make a repository in {folder.parent}: {error}") from error
        _fetch(remote, unfinished)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def _fetch(remote: Remote, folder: Path) -> None:
    """Fetch by refspec instead of `git clone`, which would write the URL, with its credentials, into the clone."""
    try:
        _fetch_refs(remote, folder, "--prune", *_BRANCHES_AND_TAGS)
    except GitFailedError as error:
        raise InputError(
            f"cannot clone {remote.shown}: check the address, the network and the credentials. "
            f"Git said: {remote.scrub(str(error))}"
        ) from None  # what git said may hold credentials
    try:
        _fetch_refs(remote, folder, f"+HEAD:{REMOTE_HEAD}")
    except GitFailedError:
        # The remote's HEAD names no commit: there is none yet, or its default branch is gone. Resolving HEAD says so.
        run_git([f"--git-dir={folder}", "update-ref", "-d", REMOTE_HEAD])


def _fetch_refs(remote: Remote, folder: Path, *refspecs: str) -> None:
    options = [refspec for refspec in refspecs if refspec.startswith("--")]
    names = [refspec for refspec in refspecs if not refspec.startswith("--")]
    run_git(
        [
            f"--git-dir={folder}",
            # Packs must not be swept away by a background process while another run reads from them.
            *("-c", "gc.auto=0", "-c", "maintenance.auto=false"),
            *("fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"),
            *options,
            *("--", remote.url),
            *names,
        ],
        timeout=NETWORK_TIMEOUT,
    )


def _remove_stale_locks(folder: Path) -> None:
    """Remove the lock files of a fetch that was killed: we hold our own lock, so no fetch is running."""
    for lock in [*folder.glob("*.lock"), *folder.glob("refs/**/*.lock")]:
        lock.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
