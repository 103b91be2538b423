"""Opens where the documents of a run come from, whatever that is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from backcast.domain.records import asks_for_records
from backcast.ledger.runs import selection_of
from backcast.sources.files import FilesSource
from backcast.sources.folder import folder_entries
from backcast.sources.git import GitSource
from backcast.sources.object_store import object_entries
from backcast.sources.outline import outline_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast.domain.documents import Selection, Snapshot, Source, SourceDocument
    from backcast.domain.outlines import Outline
    from backcast.domain.workflow import RunSettings
    from backcast.ledger.connection import Row


class Documents(Protocol):
    """Where documents are read from."""

    def documents(self) -> Iterator[SourceDocument]:
        """Every document once, in path order; what is left out carries its reason."""
        ...

    def snapshot(self) -> Snapshot:
        """What was read; to be asked when all documents were."""
        ...

    def outline(self) -> Outline | None:
        """What else of a repository tests may rely on; None where there is no repository."""
        ...


class _OfCommit:
    """The documents of the commit that a ref names at first."""

    def __init__(self, source: GitSource) -> None:
        self._source, self._snapshot = source, source.snapshot()

    def documents(self) -> Iterator[SourceDocument]:
        return self._source.documents(self._snapshot)

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def outline(self) -> Outline:
        return outline_of(self._source.git_dir(self._snapshot), self._snapshot.commit)


def documents_of_run(run: Row, cache: Path) -> Documents:
    """Return the documents of a run; `cache` is where clones of remote repositories are kept.

    Raises:
        InputError: the repository cannot be read.
    """
    pdf = asks_for_records(run["answer_schema"])
    return _opened(run["source"], run["repository"], run["ref"], selection_of(run), cache, pdf=pdf)


def documents_of(settings: RunSettings, cache: Path) -> Documents:
    """Return the documents of a run with these settings, as `documents_of_run` would once it is opened."""
    pdf = asks_for_records(settings.prompt.answer_schema)
    return _opened(settings.source, settings.repository, settings.ref, settings.selection, cache, pdf=pdf)


def _opened(  # noqa: PLR0913  what names a source
    source: Source, named: str, ref: str, selection: Selection, cache: Path, *, pdf: bool
) -> Documents:
    if source == "folder":
        return FilesSource(named, lambda: folder_entries(Path(named)), selection, pdf=pdf)
    if source == "object_store":
        return FilesSource(named, lambda: object_entries(named), selection, pdf=pdf)
    return _OfCommit(GitSource(named, ref, cache, selection))
