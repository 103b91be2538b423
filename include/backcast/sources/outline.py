"""Reads the outline of a repository at a commit: its paths, and what stands in its Python files; none is run."""

from __future__ import annotations

import sys
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
    from pathlib import Path

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
    names: dict[str, frozenset[str] | None] = {}
    used, named = set[str](), set[str]()
    inner: list[tuple[str, int, str]] = []
    with BlobReader(git_dir) as blobs:
        for entry in entries:
            if entry.mode not in _REGULAR_FILES or not entry.path_is_utf8:
                continue
            small = entry.size <= _LARGEST
            if entry.path.endswith(".py"):
                module = module_in(blobs.read(entry.object_id)) if small else None
                names[entry.path] = module.names if module else None
                if module:
                    used |= module.imports
                    inner += [(entry.path, level, name) for level, name in module.inner]
            elif small and names_distributions(entry.path):
                named |= modules_named_by(entry.path, blobs.read(entry.object_id).decode("utf-8", "replace"))
    paths = tuple(entry.path for entry in entries)
    own = Outline(paths, names)
    # What a file imports is its own when it is there; a distribution may have a part of a namespace that is there, too.
    others = {module for module in used if not own.lookup(module)}
    others |= {module for module in named if not any(path in names for path in own.lookup(module))}
    whole = {name for path, level, inside in inner if (name := imported_as(own, path, level, inside))}
    tops = {name.split(".", maxsplit=1)[0] for name in whole}
    ours = {top for top in tops if own.lookup(top)}
    others |= {name for name in whole if name.split(".", maxsplit=1)[0] in ours and _is_missing(name, own)}
    return Outline(paths, names, frozenset(others - sys.stdlib_module_names))


def _is_missing(name: str, own: Outline) -> bool:
    """Whether a package of the repository has no such module, as far as is seen; what is no package has none."""
    package, _, last = name.rpartition(".")
    is_package = any(path.endswith(f"/{INIT}") or path not in own.names for path in own.lookup(package))
    return is_package and not own.binds(package, last)
