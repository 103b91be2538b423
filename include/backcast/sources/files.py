"""Documents from a listing of files, wherever they lie: which are read, and for the others a short reason."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from backcast.domain.documents import Selection, Snapshot, SourceDocument
from backcast.domain.workflow import document_hash
from backcast.sources import filters
from backcast.sources.apart import Reader
from backcast.sources.formats import HTML, PDF, UnreadableError, format_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNKNOWN_FORMAT: Final = "no text, Markdown, HTML or PDF"
PDF_NOT_WANTED: Final = "PDF, which only workflows that extract records read"
UNREADABLE: Final = "cannot be read"
HIDDEN: Final = "hidden"
NO_REGULAR_FILE: Final = "no regular file"
SAME_NAME: Final = "called like another when it is shown"
CHANGING: Final = "changed while it was read"
# Of a source in which nothing lies.
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BYTE_ORDER_MARK: Final = "\ufeff"


class ChangingError(OSError):
    """A file that is being written: half of it is no document."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file as a listing tells it.

    Attributes:
        path: below what is listed, with `/`.
        size: in bytes.
        modified_at: when it was changed last; None when nobody says.
        read: returns its content, or at most so many bytes of it; raises OSError.
        skip_reason: why it is left out, as far as the listing tells.
    """

    path: str
    size: int
    modified_at: datetime | None
    read: Callable[[int], bytes]
    skip_reason: str | None = None


class FilesSource:
    """The documents of a folder or an object store, each once, in path order.

    Args:
        shown: what the folder is called.
        entries: lists it.
        selection: what of it is wanted.
        pdf: whether PDFs are.
    """

    def __init__(
        self, shown: str, entries: Callable[[], Iterator[Entry]], selection: Selection, *, pdf: bool = True
    ) -> None:
        self._shown, self._entries, self._selection, self._pdf = shown, entries, selection, pdf
        self._wanted = filters.Wanted(selection)
        self._snapshot: Snapshot | None = None

    def documents(self) -> Iterator[SourceDocument]:
        """Every file; what is left out carries its reason.

        Raises:
            InputError: it is not there, or cannot be listed.
        """
        names_and_contents, newest, taken = hashlib.sha256(), _NEVER, 0
        with Reader() as reader:
            for entry in _each_once(self._entries()):
                document = self._document(entry, reader, full=taken == self._selection.max_documents)
                taken += document.skip_reason is None
                newest = max(newest, entry.modified_at or _NEVER)
                content = document.skip_reason or document_hash(document.text or "", document.pdf)
                for part in (document.path, content):
                    encoded = part.encode()
                    names_and_contents.update(len(encoded).to_bytes(8, "big") + encoded)
                yield document
        self._snapshot = Snapshot(self._shown, "", names_and_contents.hexdigest(), newest)

    def snapshot(self) -> Snapshot:
        """What was there when the documents were read, all of them."""
        if self._snapshot is None:
            raise AssertionError("the documents were not read to their end")
        return self._snapshot

    def outline(self) -> None:
        """None: there is no repository."""

    def _document(self, entry: Entry, reader: Reader, *, full: bool) -> SourceDocument:
        found = format_of(entry.path)
        document = SourceDocument(entry.path, found or "", entry.size, None, None)
        reason = entry.skip_reason or self._why_not(entry, found)
        if reason is None and full:
            reason = filters.OVER_MAX_DOCUMENTS
        if reason is not None:
            return replace(document, skip_reason=reason)
        limit = self._limit(found)
        try:
            content = entry.read(limit + 1)
        except ChangingError:
            return replace(document, skip_reason=CHANGING)
        except OSError:
            return replace(document, skip_reason=UNREADABLE)
        if len(content) > limit:
            # It has grown since it was listed.
            return replace(document, skip_reason=filters.too_large(limit))
        return self._read(replace(document, size=len(content)), content, reader)

    def _why_not(self, entry: Entry, found: str | None) -> str | None:
        if why_not := self._wanted.why_not(entry.path):
            return why_not
        if found is None:
            return UNKNOWN_FORMAT
        if found == PDF and not self._pdf:
            return PDF_NOT_WANTED
        if entry.size == 0:
            return filters.EMPTY
        return filters.too_large(self._limit(found)) if entry.size > self._limit(found) else None

    def _limit(self, found: str | None) -> int:
        return self._selection.max_pdf_bytes if found == PDF else self._selection.max_document_bytes

    def _read(self, document: SourceDocument, content: bytes, reader: Reader) -> SourceDocument:
        if document.language == PDF:
            try:
                return replace(document, text=reader.pdf(content, self._selection.max_pdf_pages), pdf=content)
            except UnreadableError as error:
                return replace(document, skip_reason=str(error))
        text, reason = filters.decode(content)
        if text is None:
            return replace(document, skip_reason=reason)
        text = text.removeprefix(_BYTE_ORDER_MARK)
        try:
            if document.language == HTML:
                text = reader.html(text, self._selection.max_document_bytes)
        except UnreadableError as error:
            return replace(document, skip_reason=str(error))
        return replace(document, text=text) if text.strip() else replace(document, skip_reason=filters.EMPTY)


def _each_once(entries: Iterator[Entry]) -> Iterator[Entry]:
    """Leave out what is called like another, as names that are no UTF-8 may be once they are shown."""
    seen = set[str]()
    for entry in entries:
        # What UTF-8 cannot hold, the ledger cannot either.
        path = entry.path.encode("utf-8", "backslashreplace").decode()
        number, reason = 1, entry.skip_reason if path == entry.path else filters.PATH_NOT_UTF8
        while path in seen:
            number, reason = number + 1, SAME_NAME
            path = f"{entry.path} ({number})"
        seen.add(path)
        yield replace(entry, path=path, skip_reason=reason)
