"""Which Python files of a repository are tests, which files have some, and where new ones belong."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from posixpath import basename, dirname
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_PYTHON: Final = ".py"
_SUPPORT: Final = frozenset({"conftest.py", "setup.py"})
# What stands for its folder, or is called like every other of its kind.
_NAMELESS: Final = frozenset({"__init__", "__main__"})
_TEST_FOLDERS: Final = ("tests", "test")
# Where tests are put when a repository has none, or has something else by the first of these names.
_NEW_FOLDERS: Final = ("tests", "test", "generated_tests")
# Such a folder needs no quoting in a patch, and leads nowhere else, as `..` does.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9]+")


def is_test_file(path: str) -> bool:
    """Whether a path is one that pytest takes for tests: `test_NAME.py` or `NAME_test.py`."""
    name = basename(path)
    return name.endswith(_PYTHON) and (name.startswith("test_") or name.endswith("_test.py"))


def files_with_tests(paths: Iterable[str]) -> frozenset[str]:
    """Return the Python files, of all paths of a repository, for which a file of tests is there.

    That is `test_NAME.py` or `NAME_test.py`, wherever it lies. Where several files are called NAME, it is of the one
    whose folder it names, as in `test_FOLDER_NAME.py` or `FOLDER/test_NAME.py`, or that it lies beside.
    """
    paths = list(paths)
    modules = [path for path in paths if _is_module(path)]
    shared = Counter(_names(path)[0] for path in modules)
    tests: dict[str, list[str]] = {}
    for path in paths:
        if is_test_file(path):
            tests.setdefault(_tested_name(path), []).append(dirname(path))
    return frozenset(path for path in modules if _has_tests(path, tests, alone=shared[_names(path)[0]] == 1))


def _has_tests(path: str, tests: dict[str, list[str]], *, alone: bool) -> bool:
    short, *longer = _names(path)
    if any(name in tests for name in longer):
        return True
    folder = dirname(path)
    return any(
        alone or there == folder or (folder and basename(there) == basename(folder)) for there in tests.get(short, ())
    )


def _is_module(path: str) -> bool:
    return path.endswith(_PYTHON) and basename(path) not in _SUPPORT and not is_test_file(path)


def _names(path: str) -> list[str]:
    """Return what tests of a file may be called after, shortest first: `c`, `b_c`, `a_b_c` of `a/b/c.py`."""
    *folders, name = path.removesuffix(_PYTHON).split("/")
    if name in _NAMELESS and folders:
        name = folders.pop() + ("_main" if name == "__main__" else "")
    parts = [_NOT_IN_A_NAME.sub("_", part).strip("_").lower() or "module" for part in (*folders, name)]
    return ["_".join(parts[first:]) for first in range(len(parts) - 1, -1, -1)]


def _tested_name(path: str) -> str:
    name = basename(path).removesuffix(_PYTHON)
    plain = name.removeprefix("test_") if name.startswith("test_") else name.removesuffix("_test")
    return _NOT_IN_A_NAME.sub("_", plain).strip("_").lower()


class NewTests:
    """Says where new files of tests belong in a repository: where nothing is, and where no other file's tests belong.

    They lie in the folder that has the most tests, among those in `tests` or `test`.

    Args:
        tracked: all paths of the repository.
    """

    def __init__(self, tracked: Iterable[str]) -> None:
        tracked = frozenset(tracked)
        self._folder = _folder(tracked)
        # Where no case is told apart, either would be written over the other.
        self._taken = frozenset(path.lower() for path in tracked)
        self._shared = Counter(name for path in tracked if _is_module(path) for name in _names(path))
        # Outside of packages pytest takes two files of one name for the same module, and refuses the second.
        self._named = frozenset(
            basename(path).lower() for path in tracked if is_test_file(path) and not _in_package(path, tracked)
        )
        self._is_package = _in_package(f"{self._folder}/x", tracked)

    def paths(self, tested: str, count: int) -> list[str]:
        """Return where so many files of tests of the file at `tested` belong."""
        names = _names(tested)
        free = (f"{self._folder}/test_{name}.py" for name in names if self._shared[name] <= 1)
        # `a_b/c.py` and `a/b_c.py` have the same names.
        told_apart = f"{self._folder}/test_{names[-1]}_{hashlib.sha256(tested.encode()).hexdigest()[:6]}.py"
        first = next((one for one in free if self._is_free(one)), told_apart)
        more = (f"{first.removesuffix(_PYTHON)}_more{number}{_PYTHON}" for number in itertools.count(2))
        # Another module may be called so.
        own = (one for one in more if not self._shared[_tested_name(one)])
        candidates = itertools.chain([first], own)
        return list(itertools.islice((one for one in candidates if self._is_free(one)), count))

    def _is_free(self, path: str) -> bool:
        return path.lower() not in self._taken and (self._is_package or basename(path).lower() not in self._named)


def _in_package(path: str, tracked: frozenset[str]) -> bool:
    return f"{dirname(path)}/__init__.py" in tracked


def _folder(tracked: frozenset[str]) -> str:
    tests = Counter(
        dirname(path)
        for path in tracked
        if is_test_file(path) and path.split("/")[0] in _TEST_FOLDERS and _PLAIN.fullmatch(dirname(path) or " ")
    )
    if tests:
        return min(tests, key=lambda folder: (-tests[folder], len(folder), folder))
    return next(name for name in _NEW_FOLDERS if name not in tracked or name == _NEW_FOLDERS[-1])
