"""Documents as a source delivers them, before anything is known about their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a repository that a run looks at: a full commit id and its committer time in UTC."""

    repository: str
    ref: str
    commit: str
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """One tracked file at a commit.

    Either `skip_reason` says in a few words why it is left out (then `text` is None), or `text` holds it whole, as
    decoded UTF-8 without NUL characters. `size` is in bytes; `path` uses `/` and is relative to the repository.
    """

    path: str
    language: str
    size: int
    text: str | None
    skip_reason: str | None


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a source is wanted: gitignore-style patterns, a size limit in bytes, and at most so many documents."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_document_bytes: int = 200_000
    max_documents: int | None = None
