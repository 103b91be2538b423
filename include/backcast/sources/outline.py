"""Reads the outline of a repository at a commit: its paths, and what stands in its Python files; none is run."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from backcast.domain.outlines import (
    INIT,
    Outline,
    imported_as,
    module_in,
    modules_named_by,
    names_distributions,
)
from backcast.sources.gitcli import BlobReader
from backcast.sources.tree import list_tree

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from backcast.domain.outlines import Module
    from backcast.sources.tree import TreeEntry

_REGULAR_FILES: Final = frozenset({"100644", "100755", "100664"})
# Of a larger one nothing is known.
_LARGEST: Final = 1_000_000


def outline_of(git_dir: Path, commit: str) -> Outline:
    """Return the outline of a commit.

    Args:
        git_dir: the repository's git directory.
        commit: its full id.

    Raises:
        InputError: git cannot read it.
    """
    entries = list_tree(git_dir, commit)
    read = _read(git_dir, entries)
    paths = tuple(entry.path for entry in entries)
    elsewhere = _elsewhere(read, Outline(paths, read.names))
    return Outline(paths, read.names, frozenset(elsewhere - sys.stdlib_module_names))


@dataclass(slots=True)
class _Read:
    """The names in files, by path; the modules used; those the repository names; and what is imported of its own."""

    names: dict[str, frozenset[str] | None] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)
    inner: list[tuple[str, int, str]] = field(default_factory=list)

    def add_module(self, path: str, module: Module | None) -> None:
        self.names[path] = module.names if module else None
        if module:
            self.used |= module.imports
            self.inner += [(path, level, name) for level, name in module.inner]


def _read(git_dir: Path, entries: Iterable[TreeEntry]) -> _Read:
    read = _Read()
    with BlobReader(git_dir) as blobs:
        for entry in entries:
            if entry.mode not in _REGULAR_FILES or not entry.path_is_utf8:
                continue
            small = entry.size <= _LARGEST
            if entry.path.endswith(".py"):
                read.add_module(entry.path, module_in(blobs.read(entry.object_id)) if small else None)
            elif small and names_distributions(entry.path):
                read.named |= modules_named_by(entry.path, blobs.read(entry.object_id).decode("utf-8", "replace"))
    return read


def _elsewhere(read: _Read, own: Outline) -> set[str]:
    """Return the modules that can be imported and are not those of the repository, as far as is seen."""
    # What a file imports is its own when it is there; a distribution may have a part of a namespace that is there, too.
    used = {module for module in read.used if not own.lookup(module)}
    named = {module for module in read.named if not any(path in read.names for path in own.lookup(module))}
    return used | named | _made_elsewhere(read, own)


def _made_elsewhere(read: _Read, own: Outline) -> set[str]:
    """Return the modules that files import of the repository itself and that it does not hold, such as extensions."""
    whole = {name for path, level, inside in read.inner if (name := imported_as(own, path, level, inside))}
    return {name for name in whole if own.lookup(name.split(".", maxsplit=1)[0]) and _is_missing(name, own)}


def _is_missing(name: str, own: Outline) -> bool:
    """Whether a package of the repository has no such module, as far as is seen; what is no package has none."""
    package, _, last = name.rpartition(".")
    is_package = any(path.endswith(f"/{INIT}") or path not in own.names for path in own.lookup(package))
    return is_package and not own.binds(package, last)
