"""Documents as a source delivers them, before anything is known about their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from datetime import datetime

# Where documents are read from: a commit of a git repository, a folder, or an object store.
Source: TypeAlias = Literal["git", "folder", "object_store"]
# What stands in a text for something that is no text, such as a page that is a picture.
NO_TEXT: Final = "\N{OBJECT REPLACEMENT CHARACTER}"
# What stands between two pages.
PAGE_BREAK: Final = "\f"


def is_url(named: str) -> bool:
    """Whether documents that lie there lie in an object store, and in no folder."""
    return "://" in named


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a source that a run looks at: of a repository a full commit id and its committer time in UTC.

    Of a folder or an object store it is the hash of all names and contents, and when the newest was changed.
    """

    repository: str
    ref: str
    commit: str
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """One tracked file at a commit, or one file of a folder or an object store.

    Either `skip_reason` says in a few words why it is left out (then `text` is None), or `text` holds it whole, as
    decoded UTF-8 without NUL characters. `size` is in bytes; `path` uses `/` and is relative to the repository.

    Of a PDF, `pdf` is the file, and `text` its text layer: its pages, with `PAGE_BREAK` between them, and `NO_TEXT` for
    a page that has none.
    """

    path: str
    language: str
    size: int
    text: str | None
    skip_reason: str | None
    pdf: bytes | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a source is wanted: gitignore-style patterns, a size limit in bytes, and at most so many documents.

    PDFs have limits of their own, which keep to the API's: 32 MB a request, in base64, and 100 pages. With
    `untested_only`, Python files of a repository that have tests are not wanted.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_document_bytes: int = 200_000
    max_documents: int | None = None
    max_pdf_bytes: int = 20_000_000
    max_pdf_pages: int = 100
    untested_only: bool = False
